"""The parts of a nightly run: commands and the minutes that each may take, 78 together.

The long tests take their size from environment variables, whose defaults are the long form, to be
run by hand; the values here are the nightly form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Part:
    """One command.

    words:       the arguments of `python -m`
    minutes:     after which it is stopped and counted as unfinished
    environment: variables that set the size of its tests
    """

    name: str
    minutes: float
    words: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """The command as a person would type it."""
        size = "".join(f"{name}={value} " for name, value in self.environment.items())
        words = " ".join(f"'{word}'" if " " in word else word for word in self.words)
        return f"{size}python -m {words}"


def tests(*words: str) -> tuple[str, ...]:
    return ("pytest", "-q", *words)


CORPUS = "tests/pipeline/stages/test_corpus.py"
COMPILED = "compiled or cuda_kernel_compiles"
PARTS = {
    part.name: part
    for part in (
        Part("kernels", 3, ("cuda_ops",)),
        Part("operators", 3, tests("tests/cuda_ops")),
        Part("compiler", 6, tests("-m", "slow", "-k", COMPILED, "tests")),
        Part("slow", 15, tests("-m", "slow", "-k", f"not ({COMPILED})", f"--ignore={CORPUS}")),
        Part("corpus", 5, tests("-m", "slow", CORPUS)),
        Part(
            "decoder", 3, tests("-m", "chaos", "tests/pipeline/photo/sandbox/test_decode_fuzz.py"),
            {"CHAOS_DECODER_FILES": "20000"},
        ),
        Part(
            "fuzz", 3, tests("-m", "chaos", "tests/chaos/test_fuzz_run.py"),
            {"CHAOS_FUZZ_PICTURES": "1200"},
        ),
        Part(
            "ledger", 5, tests("-m", "chaos", "tests/chaos/test_ledger_chaos.py"),
            {"CHAOS_LEDGER_RUNS": "10"},
        ),
        Part(
            "promotion", 4, tests("-m", "chaos", "tests/chaos/test_promotion_chaos.py"),
            {"CHAOS_PROMOTION_ROUNDS": "2"},
        ),
        Part(
            "cluster", 6, tests("-m", "chaos", "tests/chaos/test_cluster_chaos.py"),
            {"CHAOS_CLUSTER_RUNS": "2"},
        ),
        Part("scarce", 7, tests("-m", "chaos", "tests/chaos/test_scarce.py")),
        Part("read-only", 2, tests("-m", "chaos", "tests/chaos/test_read_only_root.py")),
        Part("mutants", 17, ("tests.mutation", "--minutes", "16", "--write")),
    )
}  # fmt: skip
