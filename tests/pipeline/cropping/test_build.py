"""A job's engine: compiled if requested, plain if it cannot be, refused if it must be compiled."""

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

from pipeline.cropping import build
from pipeline.cropping.build import COMPILE_FROM, choose_runtime, engine_of, make_engine
from pipeline.cropping.sources import SmallInputSource
from pipeline.cropping.weights import choose_weights
from pipeline.errors import UsageError
from pipeline.settings import Settings
from s2cnet import FastS2CNet, S2CNet, WeightsError, aot, to_published_state_dict
from s2cnet.aot import CannotCompileError
from s2cnet.onnx import OnnxModule

UNTRAINED = choose_weights("untrained")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """Whether each engine was asked to compile; nothing compiles here."""
    asked: list[Any] = []

    def cannot(*_: object) -> None:
        asked.append(True)
        raise CannotCompileError("no C++ compiler")

    monkeypatch.setattr("pipeline.detectors.embedded.load_or_compile", cannot)
    monkeypatch.setenv("S2CNET_CACHE", str(tmp_path))
    return asked


@pytest.mark.parametrize(
    ("compile", "images", "asks"),
    [("off", COMPILE_FROM, False), ("auto", COMPILE_FROM - 1, False)],
)
def test_small_runs_and_those_that_say_so_are_not_compiled(
    compile: str, images: int, asks: bool, asked: list[Any]
) -> None:
    engine = engine_of(Settings.of(compile=compile), UNTRAINED, "cpu", lambda: images)
    assert bool(asked) is asks
    assert type(engine.network) is FastS2CNet


def test_a_large_run_without_a_compiler_says_so_and_goes_on(asked: list[Any]) -> None:
    with pytest.warns(RuntimeWarning, match="networks are not compiled: no C\\+\\+ compiler"):
        engine = engine_of(Settings.of(runtime="torch"), UNTRAINED, "cpu", lambda: COMPILE_FROM)
    assert asked
    assert type(engine.network) is FastS2CNet


def test_compile_on_without_a_compiler_is_refused(asked: list[Any]) -> None:
    with pytest.raises(UsageError, match=r"compile is on: no C\+\+ compiler"):
        engine_of(Settings.of(compile="on"), UNTRAINED, "cpu", lambda: 1)


def test_precision_reaches_the_network() -> None:
    engine = engine_of(Settings.of(precision="bfloat16"), UNTRAINED, "cpu", lambda: 1)
    assert type(engine.network) is FastS2CNet
    assert engine.network.precision == "bfloat16"
    assert Settings.of(precision="bfloat16").identity() != Settings().identity()
    assert Settings.of(compile="off").identity() == Settings().identity()


def test_guards_and_the_least_confidence_reach_the_engine() -> None:
    asked = Settings.of(guards="off", fallback="pad", review_below=0.7)
    policy = engine_of(asked, UNTRAINED, "cpu", lambda: 1).guard_policy
    assert (bool(policy.guards), policy.fallbacks, policy.review_below) == (False, ("pad",), 0.7)
    assert asked.identity() != Settings.of(guards="off", fallback="pad").identity()
    with pytest.raises(UsageError, match=r"review_below must be at most 1, not 1\.5"):
        Settings.of(review_below=1.5)


def test_compiled_code_is_kept_where_the_user_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("S2CNET_CACHE", str(tmp_path))
    seen: list[Any] = []
    monkeypatch.setattr(build, "make_engine", lambda *_, **named: seen.append(named))
    engine_of(Settings.of(compile="on"), UNTRAINED, "cpu", lambda: 1)
    (asked,) = seen
    assert asked["cache"] == aot.cache_folder() == tmp_path
    assert (asked["runtime"], asked["backbone"]) == ("torch", "own")


def test_onnxruntime_runs_the_networks_where_it_is_installed() -> None:
    pytest.importorskip("onnxruntime")
    engine = engine_of(Settings(), UNTRAINED, "cpu", lambda: COMPILE_FROM)
    assert type(engine.network._encode.args[0].backbone) is OnnxModule  # type: ignore[attr-defined]
    assert isinstance(engine.source, SmallInputSource)
    assert type(engine.source.detector._network) is OnnxModule  # type: ignore[attr-defined]
    assert Settings.of(runtime="torch").identity() == Settings().identity()


def test_what_runs_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2cnet.onnx.has_onnxruntime", lambda: True)
    assert choose_runtime("auto", "cpu") == "onnxruntime"
    assert choose_runtime("auto", "cpu", compiles=True) == "torch"
    assert choose_runtime("onnxruntime", "cpu", compiles=True) == "onnxruntime"
    assert choose_runtime("torch", "cpu") == "torch"
    assert choose_runtime("auto", "cuda:0") == "torch"
    with pytest.raises(UsageError, match="runtime onnxruntime is for CPUs, and the device is cuda"):
        choose_runtime("onnxruntime", "cuda")
    with pytest.raises(UsageError, match="runtime is auto, torch or onnxruntime, not 'tvm'"):
        choose_runtime("tvm", "cpu")
    monkeypatch.setattr("s2cnet.onnx.has_onnxruntime", lambda: False)
    assert choose_runtime("auto", "cpu") == "torch"
    with pytest.raises(UsageError, match=r"pip install 's2cnet-thumbnails\[onnx\]'"):
        choose_runtime("onnxruntime", "cpu")


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UsageError, match="rank_by is overlap or score, not 'best'"):
        make_engine(UNTRAINED, rank_by="best")
    with pytest.raises(UsageError, match="search is coarse or exhaustive, not 'fine'"):
        make_engine(UNTRAINED, search="fine")
    with pytest.raises(UsageError, match="there is no device 'gpu'"):
        make_engine(UNTRAINED, device="gpu")


def test_weights_that_changed_after_they_were_pinned_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"

    def write(seed: int) -> None:
        network = S2CNet.untrained("gaicv1", seed=seed)
        safetensors.torch.save_file(to_published_state_dict(network), path)

    write(1)
    pinned = choose_weights(str(path))
    pinned.load()
    write(2)
    with pytest.raises(WeightsError, match="sha256"):
        pinned.load()
