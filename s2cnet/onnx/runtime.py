"""A module that ONNX Runtime runs on the CPU."""

from __future__ import annotations

import os
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn

Runtime = Literal["torch", "onnxruntime"]
"""What runs a network on a CPU."""


def has_onnxruntime() -> bool:
    """Whether the packages are installed; nothing is imported."""
    return all(find_spec(name) is not None for name in ("onnx", "onnxruntime"))


def import_onnxruntime() -> ModuleType:
    """ONNX Runtime, which reports nothing to its maker. Raises ImportError where it is missing.

    Since 1.29 its Linux packages tell Microsoft of each process and network, by HTTPS, and keep an
    identifier on disk. It reads the variable while it is imported; who wants the reports sets it
    to 0.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    module: ModuleType = onnxruntime
    return module


class OnnxModule:
    """A module for inference on the CPU, float32 as torch, within 1e-5 of its largest output.

    It uses as many threads as torch does when this is made. Its weights are copies.
    """

    def __init__(self, module: nn.Module) -> None:
        """module: in evaluation mode, one tensor [B, C, H, W] in and one out.

        Raises ImportError where a package is missing, or UnknownOperatorError.
        """
        from s2cnet.onnx.graph import INPUT, onnx_graph

        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        # Threads that wait for the next image would use the cores of other workers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # It would keep, and double, what the largest of all images took: .4 GB for a long photo.
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3  # errors
        self._session: Any = onnxruntime.InferenceSession(
            onnx_graph(module), options, providers=["CPUExecutionProvider"]
        )
        self._input = INPUT

    def __call__(self, x: Tensor) -> Tensor:
        """The module's output for x [B, C, H, W], on the CPU, any values that torch takes."""
        values = x.detach().float().contiguous().numpy()
        (result,) = self._session.run(None, {self._input: values})
        return torch.from_numpy(result)
