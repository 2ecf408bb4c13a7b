"""Run a module with ONNX Runtime on the CPU."""

from __future__ import annotations

import os
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn

Runtime = Literal["torch", "onnxruntime"]
"""The library that runs a network on a CPU."""


def has_onnxruntime() -> bool:
    """Return whether the packages are installed, without importing them."""
    return all(find_spec(name) is not None for name in ("onnx", "onnxruntime"))


def import_onnxruntime() -> ModuleType:
    """Import ONNX Runtime with its telemetry off. Raises ImportError if it is missing.

    Since 1.29 its Linux packages report each process and network to Microsoft, by HTTPS, and keep
    an identifier on disk. It reads the variable while it is imported; set it to 0 to allow the
    reports.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    module: ModuleType = onnxruntime
    return module


class OnnxModule:
    """A module for inference on the CPU, float32 as torch, within 1e-5 of its largest output.

    It uses as many threads as torch does on construction. Its weights are copies.
    """

    def __init__(self, module: nn.Module) -> None:
        """Convert a module in evaluation mode, one tensor [B, C, H, W] in and one out.

        Raises ImportError if a package is missing, or UnknownOperatorError.
        """
        from s2cnet.onnx.graph import INPUT, onnx_graph

        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.inter_op_num_threads = 1
        # Threads that wait for the next image would use the cores of other workers.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The arena would keep, and double, the memory of the largest image: .4 GB for a long photo.
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3  # errors
        self._session: Any = onnxruntime.InferenceSession(
            onnx_graph(module), options, providers=["CPUExecutionProvider"]
        )
        self._input = INPUT

    def __call__(self, x: Tensor) -> Tensor:
        """Return the module's output for x [B, C, H, W], on the CPU, of any dtype and layout."""
        values = x.detach().float().contiguous().numpy()
        (result,) = self._session.run(None, {self._input: values})
        return torch.from_numpy(result)
