"""The distance of an epoch: of the same rows the same value, whoever brings them and in what order."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from hallmark.checks import SettingError
from hallmark.learning.sets import SetDistance, kept_rows, row_noise
from hallmark.statistics.metrics.sets import DISTANCES

N = 50
REAL, GENERATED = (torch.randn(N, 4, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))


def updated(metric: SetDistance, index: Tensor, batch_size: int = 7) -> SetDistance:
    for batch in index.split(batch_size):
        metric.update(batch, REAL[batch], GENERATED[batch])
    return metric


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("max_rows", [N, 20])
def test_the_value_depends_on_the_rows_alone(distance: str, max_rows: int) -> None:
    index = torch.arange(N)
    drawn = kept_rows(index.numpy(), max_rows)
    expected = DISTANCES[distance](REAL[drawn].double().numpy(), GENERATED[drawn].double().numpy())
    for order in (index, index.flip(0), torch.randperm(N, generator=torch.Generator().manual_seed(2))):
        for batch_size in (1, 7, N):
            value = updated(SetDistance(distance, max_rows=max_rows), order, batch_size).compute()
            assert value.item() == pytest.approx(expected, rel=1e-6)


def test_memory_is_bounded() -> None:
    metric = SetDistance(max_rows=10)
    for start in range(0, 5000, 50):
        index = torch.arange(start, start + 50)
        metric.update(index, torch.zeros(50, 4), torch.zeros(50, 4))
        assert sum(map(len, metric.real)) == sum(map(len, metric.generated)) <= 20


@pytest.mark.parametrize("max_rows", [N, 20])
def test_rows_of_several_processes_are_one_set(max_rows: int) -> None:
    second = updated(SetDistance(max_rows=max_rows), torch.arange(1, N, 2))
    of_second = iter([torch.cat(getattr(second, name)) for name in second._reductions])
    gathering = {
        "dist_sync_fn": lambda state, group: [state, next(of_second)], "distributed_available_fn": lambda: True,
    }  # fmt: skip
    first = updated(SetDistance(max_rows=max_rows, **gathering), torch.arange(0, N, 2))
    together = updated(SetDistance(max_rows=max_rows), torch.arange(N))
    assert first.compute().item() == pytest.approx(together.compute().item(), rel=1e-6)


def test_a_new_epoch_starts_anew() -> None:
    metric = updated(SetDistance(), torch.arange(N))
    value = metric.compute()
    metric.reset()
    assert metric.real == []
    assert torch.equal(updated(metric, torch.arange(N)).compute(), value)


def test_fewer_rows_are_those_that_more_would_have_kept() -> None:
    """What is left out as rows come would be left out of all of them."""
    of_all = kept_rows(np.arange(100), 10)
    some = np.sort(np.concatenate([of_all, np.setdiff1d(np.arange(100), of_all)[::3]]))
    assert some[kept_rows(some, 10)].tolist() == of_all.tolist() == sorted(of_all)
    assert kept_rows(np.arange(5), 10).tolist() == [0, 1, 2, 3, 4]


def test_noise_of_a_row_is_its_own() -> None:
    noise = row_noise(torch.arange(300), 5, seed=1)
    assert torch.equal(row_noise(torch.tensor([7, 3]), 5, seed=1), noise[[7, 3]])
    assert not torch.equal(row_noise(torch.arange(300), 5, seed=2), noise)
    assert abs(noise.mean()) < 0.1 and abs(noise.std() - 1) < 0.1


def test_what_is_no_number_has_no_distance() -> None:
    metric = SetDistance()
    with pytest.warns(UserWarning, match="before the ``update``"):
        assert math.isnan(metric.compute())
    metric.reset()
    metric.update(torch.tensor([0, 1]), torch.tensor([[0.0], [math.inf]]), torch.zeros(2, 1))
    assert math.isnan(metric.compute())


@pytest.mark.parametrize(("key", "value"), [("distance", "inception"), ("max_rows", 1)])
def test_nonsense_names_its_key(key: str, value: object) -> None:
    with pytest.raises(SettingError) as caught:
        SetDistance(**{key: value})
    assert caught.value.key == key


def test_features_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        SetDistance().update(torch.arange(3), torch.zeros(3, 2), torch.zeros(2, 2))
