"""Weights in the published layout: which ones load, and how others are refused."""

import hashlib
from pathlib import Path

import fsspec
import pytest
import safetensors.torch
import torch
from torch import Tensor

from s2cnet import (
    PRESETS,
    S2CNet,
    S2CNetConfig,
    WeightsError,
    from_published_state_dict,
    load_model,
    to_published_state_dict,
)
from s2cnet.checkpoints.names import config_of, published_name
from tests.support.drawn import draw_inputs, drawn_state_dict, layout, small_network


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    return drawn_state_dict("gaicv1")


def scores(network: S2CNet) -> Tensor:
    return network.score(*draw_inputs([12], [10]))


@pytest.mark.parametrize("preset", ["gaicv1", "gaicv2"])
def test_names_and_shapes_are_the_published_ones(preset: str) -> None:
    with torch.device("meta"):
        network = S2CNet(PRESETS[preset])
        stored = {name: torch.empty(shape) for name, (shape, _) in layout(preset).items()}
    found = {
        published_name(name, network.config): (list(tensor.shape), str(tensor.dtype)[6:])
        for name, tensor in network.state_dict().items()
    }
    assert found == {name: tuple(entry) for name, entry in layout(preset).items()}
    assert config_of(stored) == PRESETS[preset]


@pytest.mark.parametrize(
    "network",
    [small_network(), small_network(backbone="efficientnet_b1", head="all_nodes", layers=3)],
    ids=["mobilenet", "efficientnet"],
)
def test_shapes_tell_the_configuration(network: S2CNet) -> None:
    again = from_published_state_dict(to_published_state_dict(network))
    config = network.config
    if config.head == "crop_node":  # it does not tell the number of detections
        config = S2CNetConfig(**{**vars(config), "detections": 10})
    assert again.config == config
    assert not again.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


@pytest.mark.parametrize("legacy", [False, True])
def test_pth_by_path_and_uri_with_its_hash(
    tmp_path: Path, published: dict[str, Tensor], legacy: bool
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(published, path, _use_new_zipfile_serialization=not legacy)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    expected = scores(load_model(published))
    assert torch.equal(scores(load_model(path, preset="gaicv1", sha256=digest.upper())), expected)
    fsspec.filesystem("memory").pipe("/weights.pth", path.read_bytes())
    assert torch.equal(scores(load_model("memory://weights.pth", sha256=digest)), expected)
    with pytest.raises(WeightsError, match=f"sha256 {digest}, expected 00"):
        load_model(path, sha256="00")


def test_safetensors_in_half_precision_are_cast(
    tmp_path: Path, published: dict[str, Tensor]
) -> None:
    path = tmp_path / "weights.safetensors"
    half = {name: t.half() if t.is_floating_point() else t for name, t in published.items()}
    safetensors.torch.save_file(half, path)
    network = load_model(str(path))
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    torch.testing.assert_close(scores(network), scores(load_model(published)), atol=0.05, rtol=0)


def test_a_loaded_network_shares_no_memory_with_the_mapping(published: dict[str, Tensor]) -> None:
    network = load_model(published)
    with torch.no_grad():
        network.head.score.bias += 1  # type: ignore[operator, union-attr]
    assert not torch.equal(network.state_dict()["head.score.bias"], published["FC_layers.bias"])


def test_wrong_layout_lists_the_names(published: dict[str, Tensor]) -> None:
    broken = dict(published)
    del broken["DimRed.bias"]
    broken["DimRed.offset"] = torch.zeros(8)
    broken["FC_layers.bias"] = torch.zeros(2)
    broken["node_emb.1.bias"] = torch.zeros(256, dtype=torch.int64)
    for preset in ("gaicv1", None):
        with pytest.raises(WeightsError) as caught:
            from_published_state_dict(broken, preset)
        message = str(caught.value)
        assert "1 missing: DimRed.bias" in message
        assert "1 unexpected: DimRed.offset" in message
        assert "1 misshapen: FC_layers.bias [2] instead of [1]" in message
        assert "1 wrong type: node_emb.1.bias torch.int64" in message


def test_arrays_are_no_tensors(published: dict[str, Tensor]) -> None:
    """As `safetensors.numpy` reads them."""
    arrays = {name: tensor.numpy() for name, tensor in published.items()}
    for preset in ("gaicv1", None):
        with pytest.raises(WeightsError, match=r"353 wrong type: \S+ ndarray"):
            from_published_state_dict(arrays, preset)  # type: ignore[arg-type]


def test_another_preset_and_another_network(published: dict[str, Tensor]) -> None:
    with pytest.raises(WeightsError, match=r"node_emb.0.weight \[256, 1296\] instead of"):
        load_model(published, preset="gaicv2")
    with pytest.raises(WeightsError, match=r"353 missing: .*1 unexpected: weight") as told:
        load_model({"weight": torch.zeros(3)})
    assert len(str(told.value)) < 1000, "a line or two, not every name of another network"
    with pytest.raises(WeightsError, match="no preset 'gaicv3'"):
        load_model(published, preset="gaicv3")


def test_layout_is_checked_before_memory_is_taken(published: dict[str, Tensor]) -> None:
    """A tensor without elements may claim any width."""
    claim = {**published, "node_emb.0.weight": torch.empty(1 << 40, 0)}
    with pytest.raises(WeightsError, match="misshapen"):
        load_model(claim)


def test_values_that_are_not_finite(published: dict[str, Tensor]) -> None:
    broken = {**published, "FC_layers.bias": torch.tensor([float("nan")])}
    with pytest.raises(WeightsError, match=r"FC_layers.bias has values that are not finite"):
        load_model(broken)
