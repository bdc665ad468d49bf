from typing import Any

import pytest
import torch
from torch import nn

from hallmark.checks import SettingError
from hallmark.learning.lora import Lora

WIDTH = 8


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Linear(4, WIDTH)
        self.layers = nn.ModuleList(nn.MultiheadAttention(WIDTH, 2, batch_first=True) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x)
        for attention in self.layers:
            x = attention(x, x, x, need_weights=False)[0]
        return x


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1))


def adapted(rank: int = 2, alpha: float = 3.0, dropout: float = 0.0) -> Encoder:
    encoder = Encoder()
    Lora(rank, alpha, dropout).apply(encoder)
    return encoder


def factors(attention: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """A [3, r, D] and B [3, D, r] of one attention."""
    parameters: dict[str, Any] = dict(attention.parametrizations["in_proj_weight"][0].named_parameters())  # type: ignore[index]
    return parameters["down"], parameters["up"]


@pytest.mark.parametrize("training", [True, False])
def test_it_starts_as_the_identity(x: torch.Tensor, training: bool) -> None:
    encoder = adapted(dropout=0.25).train(training)
    torch.testing.assert_close(encoder(x), Encoder().train(training)(x), rtol=0, atol=0)


def test_only_the_factors_are_trained() -> None:
    encoder = adapted(rank=2)
    trained = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    prefix = "layers.{}.parametrizations.in_proj_weight.0.{}"
    assert trained == {prefix.format(layer, factor) for layer in (0, 1) for factor in ("down", "up")}
    assert sum(p.numel() for p in encoder.parameters() if p.requires_grad) == 2 * 3 * 2 * (2 * WIDTH)


def test_each_of_q_k_and_v_has_its_own_update(x: torch.Tensor) -> None:
    encoder, plain = adapted(rank=2, alpha=3.0).eval(), Encoder().eval()
    for attention, reference in zip(encoder.layers, plain.layers, strict=True):
        down, up = factors(attention)
        nn.init.normal_(up)
        with torch.no_grad():
            for part in range(3):
                rows = slice(part * WIDTH, (part + 1) * WIDTH)
                reference.in_proj_weight[rows] += 3.0 / 2 * up[part] @ down[part]  # type: ignore[index, operator]
        torch.testing.assert_close(attention.in_proj_weight, reference.in_proj_weight)
    torch.testing.assert_close(encoder(x), plain(x))


def test_gradients_reach_the_factors_in_a_training_step(x: torch.Tensor) -> None:
    encoder = adapted(dropout=0.25).train()
    optimizer = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], 1.0)
    frozen = encoder.embed.weight.clone()
    encoder(x).square().sum().backward()
    optimizer.step()
    for attention in encoder.layers:
        assert factors(attention)[1].abs().max() > 0
    assert torch.equal(encoder.embed.weight, frozen)


def test_dropout_acts_on_input_features_in_training_only() -> None:
    attention = adapted(rank=1, alpha=1.0, dropout=0.5).layers[0]
    down, up = factors(attention)
    nn.init.ones_(up)
    base = Encoder().layers[0].in_proj_weight
    attention.train()
    update = attention.in_proj_weight - base
    columns = update.abs().amax(dim=0) > 1e-6
    assert 0 < columns.sum() < WIDTH
    full = down.expand(3, WIDTH, WIDTH).reshape(3 * WIDTH, WIDTH)
    torch.testing.assert_close(update[:, columns], 2 * full[:, columns])
    attention.eval()
    torch.testing.assert_close(attention.in_proj_weight - base, full, rtol=1e-4, atol=1e-6)


def test_factors_travel_in_the_state_dict(x: torch.Tensor) -> None:
    trained = adapted().eval()
    for attention in trained.layers:
        nn.init.normal_(factors(attention)[1])
    other = adapted().eval()
    other.load_state_dict(trained.state_dict())
    torch.testing.assert_close(other(x), trained(x), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "key"), [((0, 1.0, 0.0), "rank"), ((2, 0.0, 0.0), "alpha"), ((2, 1.0, 1.0), "dropout")]
)
def test_nonsense_names_its_key(arguments: tuple[int, float, float], key: str) -> None:
    with pytest.raises(SettingError) as caught:
        Lora(*arguments)
    assert caught.value.key == key


def test_an_encoder_without_attention_is_refused_untouched() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(SettingError, match="adapter='Linear': expected an encoder with torch's MultiheadAttention"):
        Lora(2, 1.0, 0.0).apply(layer)
    assert layer.weight.requires_grad
