import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hallmark.checks import SettingError
from hallmark.learning.optim import Optimizer, PartOptimizer


def recipe(**changes: Any) -> Optimizer:
    common = {"lr": 1e-3, "lr_scale": 1.0, "head_lr": 1e-2, "weight_decay": 0.1, "schedule": "constant", "warmup": 0.0}
    return Optimizer(**{**common, **changes})


@pytest.mark.parametrize(
    ("schedule", "warmup", "values"),
    [
        ("constant", 0.0, [1, 1, 1, 1, 1]),
        ("linear", 0.0, [1, 0.75, 0.5, 0.25, 0]),
        ("cosine", 0.0, [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0]),
        ("constant", 0.5, [1 / 3, 2 / 3, 1, 1, 1]),
        ("linear", 0.5, [1 / 3, 2 / 3, 1, 0.5, 0]),
        ("cosine", 0.5, [1 / 3, 2 / 3, 1, 0.5, 0]),
    ],
)
def test_factors_by_hand(schedule: str, warmup: float, values: list[float]) -> None:
    optimizer = recipe(schedule=schedule, warmup=warmup)
    assert [optimizer.factor(step, 4) for step in range(5)] == pytest.approx(values)


@given(st.sampled_from(["constant", "linear", "cosine"]), st.floats(0, 0.99), st.integers(1, 300))
def test_a_factor_rises_through_warm_up_then_never_again(schedule: str, warmup: float, total: int) -> None:
    factors = [recipe(schedule=schedule, warmup=warmup).factor(step, total) for step in range(total + 3)]
    assert all(0 <= factor <= 1 for factor in factors) and factors[0] > 0
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    assert top <= math.ceil(warmup * total)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear, self.norm, self.conv = nn.Linear(2, 2), nn.LayerNorm(2), nn.Conv2d(1, 1, 3)
        self.still = nn.Linear(2, 2).requires_grad_(False)


def test_groups_rates_and_decay() -> None:
    encoder, head = Net(), Net()
    built = recipe(lr=1e-3, lr_scale=3.0).build(encoder, head, 10)["optimizer"]
    assert isinstance(built, torch.optim.AdamW)
    options = {id(p): (group["lr"], group["weight_decay"]) for group in built.param_groups for p in group["params"]}
    for net, rate in ((encoder, 3e-3), (head, 1e-2)):
        for weight in (net.linear.weight, net.conv.weight):
            assert options.pop(id(weight)) == pytest.approx((rate, 0.1))
        for weight in (net.linear.bias, net.conv.bias, net.norm.weight, net.norm.bias):
            assert options.pop(id(weight)) == pytest.approx((rate, 0.0))
    assert not options, "frozen parameters are not optimized"


def test_the_schedule_moves_every_group_by_step() -> None:
    built = recipe(schedule="linear").build(Net(), Net(), 4)
    assert built["lr_scheduler"]["interval"] == "step"
    optimizer, scheduler = built["optimizer"], built["lr_scheduler"]["scheduler"]
    seen = []
    for _ in range(4):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    assert [rates[0] for rates in seen] == pytest.approx([1e-3, 7.5e-4, 5e-4, 2.5e-4])
    assert [rates[-1] for rates in seen] == pytest.approx([1e-2, 7.5e-3, 5e-3, 2.5e-3])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lr", 0.0), ("lr_scale", -1.0), ("head_lr", 0.0), ("weight_decay", -0.1), ("schedule", "step"),
        ("warmup", 1.0), ("betas", [0.9]), ("betas", [0.9, 1.0]),
    ],
)  # fmt: skip
def test_nonsense_names_its_key(key: str, value: object) -> None:
    with pytest.raises(SettingError) as caught:
        recipe(**{key: value})
    assert (caught.value.key, caught.value.value) == (key, value)


def test_the_betas_reach_the_optimizer() -> None:
    assert recipe(betas=[0.5, 0.99]).build(Net(), Net(), 4)["optimizer"].defaults["betas"] == (0.5, 0.99)


def test_all_of_a_part_has_one_rate() -> None:
    built = PartOptimizer(lr=0.3, weight_decay=0.1).build(nn.ModuleDict(), Net(), 4)["optimizer"]
    assert [(group["lr"], group["weight_decay"]) for group in built.param_groups] == [(0.3, 0.1), (0.3, 0.0)]
    built = PartOptimizer(lr=0.3).build(nn.ModuleDict(), Net(), 4)["optimizer"]
    assert [(group["lr"], group["weight_decay"]) for group in built.param_groups] == [(0.3, 0.0)]


@pytest.mark.parametrize(
    ("key", "value"), [("every", 0), ("gradient_clip_val", 0.0), ("ema_decay", 1.0), ("betas", [1.0, 0.9])]
)
def test_nonsense_in_the_recipe_of_a_part_names_its_key(key: str, value: object) -> None:
    with pytest.raises(SettingError) as caught:
        PartOptimizer(**{"lr": 0.1, key: value})
    assert (caught.value.key, caught.value.value) == (key, value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="it is about machines without a GPU")
def test_where_there_is_no_gpu_a_step_opens_no_library_to_see_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # as Lightning sets it
    network = Net()
    optimizer = recipe().build(nn.ModuleDict(), network, 4)["optimizer"]
    openings = []
    monkeypatch.setattr(torch.cuda, "_device_count_nvml", lambda: openings.append(True) or 0)
    sum(parameter.sum() for parameter in network.parameters()).backward()
    optimizer.step()
    assert not openings and not torch.cuda.is_available()
