"""Products by oneDNN and by torch: the same numbers, and torch if oneDNN is not available."""

import pytest
import torch
from torch import nn

from s2cnet.fast import products
from s2cnet.fast.products import add_linear, apply, linear, linear_by_head

ROWS = [1, 2, 31, 500]


@pytest.fixture(params=[True, False], ids=["oneDNN", "torch"], autouse=True)
def _library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(products, "_ONEDNN", None)
    elif products._ONEDNN is None:
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(products, "SMALL", 0)


@pytest.mark.parametrize("rows", ROWS)
@torch.no_grad()
def test_products(rows: int) -> None:
    torch.manual_seed(rows)
    x, weight, bias = torch.randn(rows, 3, 20), torch.randn(40, 20), torch.randn(40)
    other = torch.randn(rows, 3, 40)
    expected = torch.einsum("knc,fc->knf", x.double(), weight.double()).float()
    close = {"atol": 1e-4, "rtol": 1e-5}
    torch.testing.assert_close(linear(x, weight), expected, **close)
    torch.testing.assert_close(linear(x, weight.T.contiguous().T, bias), expected + bias, **close)
    torch.testing.assert_close(add_linear(other, x, weight, bias), other + expected + bias, **close)
    layer = nn.Linear(20, 40)
    torch.testing.assert_close(apply(layer, x), layer(x), **close)
    weights = torch.randn(3, 40, 20)
    by_head = torch.einsum("khd,hcd->khc", x.double(), weights.double()).float()
    torch.testing.assert_close(linear_by_head(x, weights), by_head, **close)


@torch.no_grad()
def test_small_weights_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    """So are those of one head, which are small where all together are not."""
    monkeypatch.setattr(products, "SMALL", 40 * 20)
    has_onednn = products._ONEDNN is not None
    assert not products._is_for_onednn(torch.randn(9, 20), torch.randn(40, 20))
    assert products._is_for_onednn(torch.randn(9, 20), torch.randn(41, 20)) is has_onednn
    asked: list[torch.Size] = []
    linear_of_torch = products.linear
    monkeypatch.setattr(
        products, "linear", lambda x, w: asked.append(w.shape) or linear_of_torch(x, w)
    )
    linear_by_head(torch.randn(9, 3, 20), torch.randn(3, 40, 20))
    assert not asked
    linear_by_head(torch.randn(9, 3, 20), torch.randn(3, 41, 20))
    assert asked == ([torch.Size([41, 20])] * 3 if has_onednn else [])


@torch.no_grad()
def test_half_precision_is_torchs() -> None:
    x, weight = torch.randn(64, 20).bfloat16(), torch.randn(40, 20).bfloat16()
    other, bias = torch.randn(64, 40), torch.randn(40)
    assert linear(x, weight).dtype == torch.bfloat16
    added = add_linear(other, x, weight, bias)
    assert added.dtype == torch.float32
    torch.testing.assert_close(added, other + (x @ weight.T).float() + bias)


@torch.no_grad()
def test_packed_weights_give_the_same_bits() -> None:
    """Of widths and rows as the network has them: of one row, or 70 columns, digits may differ."""
    torch.manual_seed(3)
    weight, bias = torch.randn(128, 64), torch.randn(128)
    layer, arranged = nn.Linear(64, 128), products.packed(weight)
    assert arranged.is_mkldnn is (products._ONEDNN is not None)
    plain = layer.weight.clone()
    products.pack_layer(layer)
    for rows in (4, 8, 44, 500):
        x, other = torch.randn(rows, 64), torch.randn(rows, 128)
        assert torch.equal(linear(x, arranged, bias), linear(x, weight, bias))
        assert torch.equal(add_linear(other, x, arranged, bias), add_linear(other, x, weight, bias))
        assert torch.equal(apply(layer, x), linear(x, plain, layer.bias))
        parts = x.view(rows, 1, 64)
        assert torch.equal(linear_by_head(parts, [arranged]), linear_by_head(parts, weight[None]))


def test_small_weights_and_half_precision_are_not_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    half = torch.randn(96, 70).bfloat16()
    assert products.packed(half) is half
    monkeypatch.setattr(products, "SMALL", 96 * 70)
    small = torch.randn(96, 70)
    assert products.packed(small) is small
