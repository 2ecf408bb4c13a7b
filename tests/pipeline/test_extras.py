"""If a package of an extra is not installed, one line names the extra."""

import re
import tomllib
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.extras import EXTRA_OF, extra_needed
from tests.support.fresh import packages_loaded

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
PLAIN = {re.split(r"[\[>=<]", line)[0] for line in PYPROJECT["dependencies"]}
EXTRAS = PYPROJECT["optional-dependencies"]
# Named otherwise than what is imported, or brought by another package of the extra.
DISTRIBUTION = {"prometheus_client": "prometheus-client", "skimage": "scikit-image",
                "sklearn": "scikit-learn", "aiobotocore": "s3fs", "botocore": "s3fs",
                "aiohttp": "s3fs", "openlineage": "openlineage-python"}  # fmt: skip


@pytest.mark.parametrize(("package", "extra"), EXTRA_OF.items())
def test_the_extra_brings_the_package(package: str, extra: str) -> None:
    brought = {re.split(r"[\[>=<]", line)[0] for line in EXTRAS[extra]}
    assert DISTRIBUTION.get(package, package) in brought
    assert DISTRIBUTION.get(package, package) not in PLAIN


def test_all_is_every_extra_and_dev_has_it() -> None:
    (all_of_them,) = EXTRAS["all"]
    named = set(all_of_them.partition("[")[2].rstrip("]").split(","))
    assert named == EXTRAS.keys() - {"all", "dev"}
    assert "s2cnet-thumbnails[all]" in EXTRAS["dev"]


def test_other_packages_stay_missing() -> None:
    with pytest.raises(ModuleNotFoundError), extra_needed():
        import no_such_package  # type: ignore[import-not-found]  # noqa: F401
    message = r"^this needs the package ray, .*thumbnails\[cluster\]'$"
    with pytest.raises(UsageError, match=message), extra_needed():
        raise ModuleNotFoundError(name="ray.data")


COMMAND = """
import sys, io, contextlib
from pipeline.{module} import main

told = io.StringIO()
with contextlib.redirect_stderr(told):
    code = main(sys.argv[1:])
assert code == 2, code
(line,) = told.getvalue().splitlines()
assert line.endswith("pip install 's2cnet-thumbnails[{extra}]'"), line
"""


@pytest.mark.parametrize(
    ("module", "extra", "hidden", "arguments"),
    [
        ("cli.crop", "cluster", {"ray"}, ["--input", ".", "--output", "out"]),
        ("cli.crop", "cluster", {"prometheus_client"}, ["--input", ".", "--output", "out"]),
        (
            "cli.crop",
            "s3",
            {"s3fs"},
            ["--input", "tests", "--output", "o", "--weights", "s3://b/w"],
        ),
        ("cli.runs", "s3", {"s3fs"}, ["list", "s3://bucket/"]),
        ("cli.demo", "demo", {"psutil"}, []),
        ("cli.demo", "s3", {"s3fs"}, []),
    ],
)
def test_a_command_says_which_extra_it_lacks(
    module: str, extra: str, hidden: set[str], arguments: list[str]
) -> None:
    packages_loaded(COMMAND.format(module=module, extra=extra), arguments, hidden=hidden)


def test_runs_in_a_folder_need_no_extra(tmp_path: Path) -> None:
    source = "import sys\nfrom pipeline.cli.runs import main\nassert main(sys.argv[1:]) == 0\n"
    hidden = EXTRA_OF.keys()
    packages_loaded(source, ["list", str(tmp_path)], hidden=hidden)
    runs = Path(__file__).parents[1] / "golden" / "runs" / "release_0_1_0" / "out"
    read = f"from pipeline import open_run\nassert open_run({str(runs)!r}).crops().num_rows == 6\n"
    packages_loaded(read, hidden=hidden)
