"""The two sampling operators of S2CNet: RoIAlign (the region) and RoDAlign (all but the region).

`reference` is the definition in plain PyTorch. `operators` registers it as the torch custom
operators `s2cnet::roi_align` and `s2cnet::rod_align`, so that autograd, `torch.compile` and
`torch.export` support them. `csrc` holds kernels for CPU and CUDA, `compile` compiles them and
`kernels` loads them; without them the definition runs.
"""

from cuda_ops.operators import rod_align, roi_align

__all__ = ["rod_align", "roi_align"]
