"""Compile the operators' kernels in place, by `python -m cuda_ops`, and report what is missing."""

from cuda_ops.compile import HERE, compile_all

if __name__ == "__main__":
    print("\n".join(compile_all(HERE)))
