"""A semantic map: S2CNet's eight feature channels, each with a fixed meaning.

The backbone is the MobileNetV2 inside MediaPipe's Objectron, `object_detection_ssd_mobilenetv2_
oidv4_fp16.tflite` (Apache-2.0; in the npm package @mediapipe/objectron), trained for detection on
Open Images; its batch-norms are already folded. The convolution that reduces its 448 joined
channels to eight is fitted by ridge regression. Its targets are the position x and y (which zero
padding reveals), the subject map, and where people, faces and things are. The upper two stages are
then trained towards the same targets. One channel is 1 everywhere, so that RoDAlign, which is 0
inside a box, marks the box. The last channel stays 0 here; `fine_tuning` turns it into the gaze.

A map with fixed meanings can also be built without a photo (`synthetic_map`). In this way, human
scores can train the graph without their photos (`graph_training`).
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from pipeline.lab.starter.views import View
from s2cnet import S2CNet, prepare_image
from s2cnet.inputs import MEAN, STD

CHANNELS = ("x", "y", "one", "subject", "person", "face", "thing", "gaze")
X, Y, ONE, SUBJECT = range(4)
GAZE = CHANNELS.index("gaze")
# Set by hand.
GAZE_SCALE = 1 / 6  # of the gaze density over its mean: peaks are then about 1
CHANNEL_WEIGHTS = (0.3, 0.3, 0.0, 1.0, 1.0, 1.5, 0.6, 0.0)  # of the squared errors
RIDGE = 1e-3  # of each channel's own power
VIEWS_PER_STEP, RATE, DECAY, WARMUP_SHARE = 6, 2.5e-4, 0.01, 0.02
CONTRAST, BRIGHTNESS = (0.8, 1.2), (-20, 20)  # range of changes of a view's pixels
ELLIPSE = 1.1  # squared relative radius to which an object is drawn: a little beyond its ellipse


def load_backbone(network: S2CNet, tflite: Path) -> None:
    """Copy the file's convolutions into the network's backbone; needs the PyPI package `tflite`.

    The file expects pixels in -1..1; the first filter is changed accordingly. The file pads strided
    convolutions only on the right and at the bottom, which moves its map by less than a cell; this
    is ignored.
    """
    convolutions = [
        pair for pair in _convolutions(tflite) if "BoxPredictor_0" not in pair[0]
    ]  # predictors are stored between the backbone's layers
    stages = (network.backbone.stage3, network.backbone.stage4, network.backbone.stage5)
    layers = [layer for stage in stages for layer in stage.modules()]
    filters = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
    std, mean = torch.tensor(STD), torch.tensor(MEAN)
    with torch.no_grad():
        for index, (layer, norm) in enumerate(zip(filters, norms, strict=True)):
            _, weight, bias = convolutions[index]
            if index == 0:  # from (rgb / 256 - mean) / std to rgb / 127.5 - 1
                bias = bias + (weight * (mean * 256 / 127.5 - 1)[:, None, None]).sum((1, 2, 3))
                weight = weight * (std * 256 / 127.5)[:, None, None]
            layer.weight.copy_(weight)
            norm.load_state_dict(
                {
                    "weight": torch.full_like(bias, (1 + norm.eps) ** 0.5),
                    "bias": bias,
                    "running_mean": torch.zeros_like(bias),
                    "running_var": torch.ones_like(bias),
                    "num_batches_tracked": torch.tensor(0),
                }
            )


def _convolutions(path: Path) -> list[tuple[str, Tensor, Tensor]]:
    """List the output's name, weight [out, in, k, k] and bias of each convolution, in run order."""
    import tflite

    model: Any = tflite.Model.GetRootAsModel(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    types = {0: np.float32, 1: np.float16}

    def constant(index: int) -> Tensor:
        tensor = graph.Tensors(index)
        data = model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
        values = np.frombuffer(data, types[tensor.Type()]).astype(np.float32)
        return torch.from_numpy(values.reshape(tensor.ShapeAsNumpy()))

    operators = tflite.BuiltinOperator
    widened: dict[int, int] = {}  # output -> input of operators that widen half precision
    found = []
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        code = model.OperatorCodes(operator.OpcodeIndex())
        kind = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        inputs, output = operator.InputsAsNumpy().tolist(), int(operator.OutputsAsNumpy()[0])
        if kind == operators.DEQUANTIZE:
            widened[output] = inputs[0]
        elif kind in (operators.CONV_2D, operators.DEPTHWISE_CONV_2D):
            weight, bias = (constant(widened.get(index, index)) for index in inputs[1:])
            order = (0, 3, 1, 2) if kind == operators.CONV_2D else (3, 0, 1, 2)
            name = graph.Tensors(output).Name().decode()
            found.append((name, weight.permute(order), bias))
    return found


@torch.no_grad()
def fit_projection(network: S2CNet, views: Sequence[View], folder: Path) -> None:
    """Fit the network's reducing convolution by ridge regression over all cells of the views."""
    joined: list[Tensor] = []
    hook = network.backbone.reduce.register_forward_pre_hook(
        lambda _, given: joined.append(given[0])
    )

    def features_and_targets() -> Iterator[tuple[Tensor, Tensor]]:
        for view in views:
            network.backbone(prepare_image(view.pixels(folder))[0][None])
            features = joined.pop()[0]
            wanted = torch.from_numpy(target_map(view, *features.shape[-2:]))
            yield features, wanted.flatten(1).double().T

    projection = ridge_regression(features_and_targets(), RIDGE)
    hook.remove()
    projection[:, GAZE] = 0
    projection[:, ONE] = 0
    projection[-1, ONE] = 1
    network.backbone.reduce.load_state_dict(
        {"weight": projection[:-1].T[:, :, None, None], "bias": projection[-1]}
    )


def ridge_regression(samples: Iterable[tuple[Tensor, Tensor]], ridge: float) -> Tensor:
    """Fit what is wanted in each cell as a sum of its features and a constant; all samples count 1.

    samples: features [C, h, w] and, in double precision, what is wanted, [h · w] or [h · w, K].
    ridge: penalty of a coefficient, in shares of its feature's power; the constant has none.

    Returns the coefficients [C + 1] or [C + 1, K], the constant last.
    """
    power, product = torch.zeros((), dtype=torch.double), torch.zeros((), dtype=torch.double)
    for features, wanted in samples:
        cells = features[0].numel()
        rows = torch.cat([features.double().flatten(1), torch.ones(1, cells)])
        power = power + rows @ rows.T / cells
        product = product + rows @ wanted / cells
    penalty = ridge * power.diag()
    penalty[-1] = 0
    coefficients: Tensor = torch.linalg.solve(power + torch.diag(penalty + 1e-9), product)
    return coefficients.float()


def train_backbone(
    network: S2CNet, views: Sequence[View], folder: Path, seed: int, steps: int
) -> None:
    """Train the stages of stride 16 and 32 and the projection towards the views' maps, in place.

    Explained variance on held-out photos after training (before): subject .74 (.56), people .73
    (.54), faces .64 (.32), things .46 (.31), x and y .99.
    """
    random = np.random.default_rng(seed)
    backbone = network.backbone.eval()  # batch-norms are folded and must not change
    trained = [
        parameter
        for part in (backbone.stage4, backbone.stage5, backbone.reduce)
        for parameter in part.parameters()
    ]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=steps, pct_start=WARMUP_SHARE
    )
    weights = torch.tensor(CHANNEL_WEIGHTS)[:, None, None]
    fixed = [ONE, GAZE]
    kept = {name: tensor[fixed].clone() for name, tensor in backbone.reduce.state_dict().items()}
    for _ in range(steps):
        optimizer.zero_grad()
        for index in random.integers(len(views), size=VIEWS_PER_STEP):
            pixels = views[index].pixels(folder).astype(np.float32)
            contrast, brightness = random.uniform(*CONTRAST), random.uniform(*BRIGHTNESS)
            pixels = (pixels - 127) * contrast + 127 + brightness
            image = prepare_image(np.clip(pixels, 0, 255).astype(np.uint8))[0]
            drawn = backbone(image[None])[0]
            wanted = torch.from_numpy(target_map(views[index], *drawn.shape[-2:]))
            loss = (weights * (drawn - wanted).square()).mean() * len(CHANNELS) / VIEWS_PER_STEP
            loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        for name, tensor in backbone.reduce.state_dict().items():
            tensor[fixed] = kept[name]


def position_map(height: int, width: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Make the map [8, h, w] of a photo without content: positions and ones."""
    values = np.zeros((len(CHANNELS), height, width), np.float32)
    values[X] = 2 * (np.arange(width) + 0.5) / width - 1
    values[Y] = (2 * (np.arange(height) + 0.5) / height - 1)[:, None]
    values[ONE] = 1
    return values


def target_map(view: View, height: int, width: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Make the target [8, h, w] for a view: each object is an ellipse as high as its likelihood."""
    values = position_map(height, width)
    subject = cv2.resize(view.labels.subject_map, (width, height), interpolation=cv2.INTER_AREA)
    values[SUBJECT] = subject
    x, y = (values[X] + 1) / 2, (values[Y] + 1) / 2
    for found in view.labels.objects:
        if found.kind not in CHANNELS:
            continue  # text has no channel
        centre = (found.box[:2] + found.box[2:]) / 2
        radius = np.maximum((found.box[2:] - found.box[:2]) / 2, 0.5 / np.array([width, height]))
        squared = ((x - centre[0]) / radius[0]) ** 2 + ((y - centre[1]) / radius[1]) ** 2
        channel = CHANNELS.index(found.kind)
        values[channel] = np.maximum(values[channel], (squared < ELLIPSE) * found.likelihood)
    return values
