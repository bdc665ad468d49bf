"""What holds for every balancer, or for which of them it holds."""

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.learning.balancing.training import BALANCERS, EPOCH, Training
from torch import Tensor, distributed, multiprocessing

from hallmark.checks import SettingError
from hallmark.learning.balancing.alternating import Alternating
from hallmark.learning.balancing.balanced import Balanced
from hallmark.learning.balancing.base import Gradients, mean_over_ranks
from hallmark.learning.balancing.dwa import Dwa
from hallmark.learning.balancing.equal import Equal
from hallmark.learning.balancing.famo import Famo
from hallmark.learning.balancing.fixed import Fixed
from hallmark.learning.balancing.gradnorm import GradNorm
from hallmark.learning.balancing.uncertainty import Uncertainty

STEPS = 3 * EPOCH + 2
TERMS = ["a", "b", "c"]


@pytest.mark.parametrize("name", BALANCERS)
@pytest.mark.parametrize("scaled", [0, 2])
def test_which_updates_do_not_depend_on_a_losss_unit(name: str, scaled: int) -> None:
    scales = [100.0 if i == scaled else 1.0 for i in range(3)]
    unscaled, other = (Training(BALANCERS[name], scales=s).run(STEPS).column("flat") for s in ([1.0] * 3, scales))
    assert torch.allclose(unscaled, other, rtol=1e-4, atol=1e-5) == (name == "balanced")


@pytest.mark.parametrize("name", BALANCERS)
@pytest.mark.parametrize("scaled", [0, 2])
def test_which_directions_do_not_depend_on_a_losss_unit(name: str, scaled: int) -> None:
    scales = [100.0 if i == scaled else 1.0 for i in range(3)]
    unscaled, other = (
        Training(BALANCERS[name], scales=s, unit=True).run(STEPS).column("flat") for s in ([1.0] * 3, scales)
    )
    free = name in ("balanced", "famo", "alternating")
    assert torch.allclose(unscaled, other, rtol=1e-4, atol=1e-4) == free


@pytest.mark.parametrize("name", BALANCERS)
def test_the_gradient_followed_is_that_of_the_weighted_losses(name: str) -> None:
    training = Training(BALANCERS[name]).run(STEPS)
    losses, parameters = training.losses(), list(training.network.trunk.parameters())
    scalar = training.balancer(losses, Gradients(losses, parameters))
    gradients = torch.autograd.grad(scalar, parameters, retain_graph=True)
    weighted = sum(weight * loss for weight, loss in zip(training.balancer.weights, losses, strict=True))
    for gradient, reference in zip(gradients, torch.autograd.grad(weighted, parameters), strict=True):
        torch.testing.assert_close(gradient, reference)


@pytest.mark.parametrize("name", BALANCERS)
@pytest.mark.parametrize("before", [1, EPOCH + 1, 2 * EPOCH + 3])
def test_a_resumed_training_is_the_same_to_the_bit(name: str, before: int) -> None:
    uninterrupted, started = Training(BALANCERS[name]).run(STEPS), Training(BALANCERS[name]).run(before)
    file = io.BytesIO()
    torch.save(started.state(), file)
    file.seek(0)
    resumed = Training(BALANCERS[name]).load(torch.load(file, weights_only=True)).run(STEPS - before)
    for column in ("flat", "weights", "scalar"):
        assert torch.equal(resumed.column(column), uninterrupted.column(column)[before:])
    state, expected = resumed.balancer.state_dict(), uninterrupted.balancer.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in expected)


@pytest.mark.parametrize("name", BALANCERS)
def test_nothing_is_drawn_from_or_left_in_the_global_generators(name: str) -> None:
    trajectories = []
    for seed in (0, 1):
        training = Training(BALANCERS[name])
        torch.manual_seed(seed)
        np.random.seed(seed)
        before = torch.get_rng_state(), np.random.get_state()[1].tolist()
        trajectories.append(training.run(STEPS).column("flat"))
        assert torch.equal(before[0], torch.get_rng_state())
        assert before[1] == np.random.get_state()[1].tolist()
    assert torch.equal(*trajectories)


class WithGaps(Training):
    """Term c is missing from the batches of `gaps`; where it is, `zero` makes its loss."""

    def with_gaps(self, gaps: range, zero: Callable[[Tensor], Tensor]) -> "WithGaps":
        self.gaps, self.zero = gaps, zero
        return self

    def losses(self) -> list[Tensor]:
        *others, last = super().losses()
        return [*others, self.zero(last) if self.step in self.gaps else last]


@pytest.mark.parametrize("name", BALANCERS)
@pytest.mark.parametrize("gaps", [range(6), range(EPOCH - 1, 2 * EPOCH + 1), range(STEPS)], ids=str)
def test_a_missing_term_divides_nothing_by_zero(name: str, gaps: range) -> None:
    connected = WithGaps(BALANCERS[name]).with_gaps(gaps, lambda loss: loss * 0).run(STEPS)
    assert all(connected.column(column).isfinite().all() for column in ("flat", "weights", "scalar"))
    if name != "alternating":  # there the constant alone would be the scalar
        constant = WithGaps(BALANCERS[name]).with_gaps(gaps, torch.zeros_like).run(STEPS)
        assert torch.equal(constant.column("weights"), connected.column("weights"))


def fed(name: str, rows: Tensor) -> Tensor:
    """Weights [steps, T] of losses that come from nowhere, [steps, T]."""
    balancer, weights = BALANCERS[name](TERMS[: rows.shape[1]]), []
    for step, row in enumerate(rows, start=1):
        balancer(row, Gradients(row, []))
        balancer.after_step(lambda row=row: row[[1, 0, *range(2, len(row))]])
        if step % EPOCH == 0:
            balancer.end_epoch()
        weights.append(balancer.weights)
    return torch.stack(weights)


@pytest.mark.parametrize("name", ["balanced", "uncertainty", "dwa", "famo"])
def test_the_others_are_balanced_as_without_a_term_that_never_comes(name: str) -> None:
    two = torch.rand(STEPS, 2, generator=torch.Generator().manual_seed(0)) + 0.1
    with_third, without = fed(name, torch.cat([two, torch.zeros(STEPS, 1)], dim=1)), fed(name, two)
    ratios = without[:, 0] / without[:, 1]
    assert ratios.std() > 0.01
    torch.testing.assert_close(with_third[:, 0] / with_third[:, 1], ratios)


def test_a_missing_term_teaches_nothing() -> None:
    never = torch.tensor([[2.0, 3.0, 0.0]] * STEPS)
    assert torch.equal(fed("uncertainty", never)[:, 2], torch.full((STEPS,), 0.5))
    rows = torch.tensor([[2.0, 3.0, 4.0]] * STEPS)
    rows[EPOCH + 1 : 2 * EPOCH, 2] = 0  # the batches that have it are as in the epoch before
    torch.testing.assert_close(fed("dwa", rows), torch.ones(STEPS, 3))


@pytest.mark.parametrize("name", BALANCERS)
def test_batches_with_no_term_at_all_are_harmless(name: str) -> None:
    training = Training(BALANCERS[name], scales=(0, 0, 0)).run(2)
    assert training.column("weights").isfinite().all()
    training.scales = (1, 1, 1)
    assert training.run(STEPS).column("flat").isfinite().all()


@pytest.mark.parametrize("name", BALANCERS)
def test_a_loss_of_nan_is_not_hidden(name: str) -> None:
    training = Training(BALANCERS[name]).run(3)
    scalars = []
    for _ in range(8):  # of which alternating draws the term at least once
        losses = [*training.losses()[:2], training.losses()[2] * torch.nan]
        scalars.append(training.balancer(losses, Gradients(losses, list(training.network.trunk.parameters()))))
    assert torch.stack(scalars).isnan().any()
    assert name == "alternating" or torch.stack(scalars).isnan().all()


@pytest.mark.parametrize("name", BALANCERS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_in_half_precision_are_weighted_in_single(name: str, dtype: torch.dtype) -> None:
    balancer = BALANCERS[name](TERMS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        leaf = torch.tensor([40000.0, 40000.0, 2.0], requires_grad=True)
        losses = leaf.to(dtype)
        scalar = balancer(losses, Gradients(losses, [leaf]))  # type: ignore[list-item]
        balancer.after_step(lambda: losses)
    assert scalar.isfinite() and balancer.weights.dtype == torch.float32
    assert all(value.isfinite().all() for value in balancer.state_dict().values())
    assert name == "alternating" or scalar.dtype == torch.float32


@pytest.mark.parametrize("name", BALANCERS)
def test_a_stacked_tensor_does_as_a_list(name: str) -> None:
    class Stacked(Training):
        def losses(self) -> Tensor:
            return torch.stack(super().losses())

    listed, stacked = Training(BALANCERS[name]).run(STEPS), Stacked(BALANCERS[name]).run(STEPS)
    torch.testing.assert_close(listed.column("flat"), stacked.column("flat"))


@pytest.mark.parametrize("name", BALANCERS)
def test_all_tensors_of_the_state_move_with_the_module(name: str) -> None:
    balancer = Training(BALANCERS[name]).run(STEPS).balancer
    assert not [
        key for module in balancer.modules() for key, value in vars(module).items() if isinstance(value, Tensor)
    ]
    assert not list(balancer.parameters()), "which the model's optimizer would take up"
    assert balancer.state_dict().keys() == dict(balancer.named_buffers()).keys()


def _train_on_one_of_two(rank: int, folder: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    results = {}
    for name, balance in BALANCERS.items():
        training = Training(balance, rows=slice(4 * rank, 4 * rank + 4), gather=mean_over_ranks).run(STEPS)
        results[name] = {column: training.column(column) for column in ("weights", "flat")}
    torch.save(results, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_train_as_one_with_the_whole_batch(tmp_path) -> None:
    context = multiprocessing.get_context("fork")
    ranks = [context.Process(target=_train_on_one_of_two, args=(rank, str(tmp_path))) for rank in (0, 1)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
        assert process.exitcode == 0
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for name, balance in BALANCERS.items():
        single = Training(balance).run(STEPS)
        for column in ("weights", "flat"):
            assert torch.equal(first[name][column], second[name][column]), name
            torch.testing.assert_close(first[name][column], single.column(column), rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: Equal([]), "terms"),
        (lambda: Equal(["a", "a"]), "terms"),
        (lambda: Fixed(TERMS, coefficients={"a": 1, "b": 1}), "coefficients"),
        (lambda: Fixed(TERMS, coefficients={"a": 1, "b": 1, "c": 1, "d": 1}), "coefficients"),
        (lambda: Fixed(TERMS, coefficients={"a": 0, "b": 0, "c": 0}), "coefficients"),
        (lambda: Fixed(TERMS, coefficients={"a": 1, "b": -1, "c": 1}), "coefficients.b"),
        (lambda: Balanced(TERMS, momentum=1.1), "momentum"),
        (lambda: Alternating(TERMS, static_ratio=1.0, seed=0), "static_ratio"),
        (lambda: Uncertainty(TERMS, lr=0.0), "lr"),
        (lambda: Dwa(TERMS, temperature=0.0), "temperature"),
        (lambda: GradNorm(TERMS, alpha=-1.0, lr=0.1), "alpha"),
        (lambda: GradNorm(TERMS, alpha=1.5, lr=0.0), "lr"),
        (lambda: Famo(TERMS, lr=0.0, weight_decay=0.0), "lr"),
        (lambda: Famo(TERMS, lr=0.1, weight_decay=-1.0), "weight_decay"),
    ],
)
def test_nonsense_names_its_key(build: Callable[[], object], key: str) -> None:
    with pytest.raises(SettingError) as caught:
        build()
    assert caught.value.key == key
