"""Run networks with ONNX Runtime: float32 on a CPU, in about half of torch's time.

graph      a torch module as an ONNX graph
operators  the operators that such a graph consists of
writer     collects its nodes and constants
runtime    a module that ONNX Runtime runs

A graph is built in memory from the module that torch would run, in a tenth of a second; nothing is
kept on disk.
"""

from s2cnet.onnx.runtime import OnnxModule, Runtime, has_onnxruntime, import_onnxruntime

__all__ = ["OnnxModule", "Runtime", "has_onnxruntime", "import_onnxruntime"]
