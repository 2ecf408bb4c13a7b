"""`python -m cuda_ops`: compile the operators' kernels in place, and say what is missing."""

from cuda_ops.compile import HERE, compile_all

if __name__ == "__main__":
    print("\n".join(compile_all(HERE)))
