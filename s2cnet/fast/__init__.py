"""Run S2CNet's inference: the scores of the definition with a fraction of its multiplications.

engine       FastS2CNet: encode an image once, score its crops as often as needed
image        what all crops of an image share
score        what differs from crop to crop
folded       a network's weights, rearranged once for both
folding      the rearrangements themselves, functions of tensors
products     products of matrices by the fastest library
cuda_graphs  the same work on a GPU, recorded once and replayed
"""

from s2cnet.fast.engine import FastS2CNet
from s2cnet.fast.folded import Precision
from s2cnet.fast.image import EncodedImage

__all__ = ["EncodedImage", "FastS2CNet", "Precision"]
