"""The temperature of least log loss, against torch's LBFGS and by hand."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from hallmark.statistics.temperature import fit_temperature

BOUNDS = (0.05, 20.0)


def nll(logits: np.ndarray, target: np.ndarray, temperature: float) -> float:
    return float(-log_softmax(logits / temperature, axis=1)[np.arange(len(target)), target].mean())


def rows(seed: int, n: int, classes: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits [N, C], and targets that are drawn from them before they are scaled."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes)) * 2
    target = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return logits * scale, target


@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("classes", [2, 7])
def test_it_is_that_of_lbfgs_on_log_temperature(scale, classes):
    logits, target = rows(1, 200, classes, scale)
    log_temperature = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_temperature], max_iter=100, line_search_fn="strong_wolfe", tolerance_grad=1e-12)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        scaled = torch.from_numpy(logits) / log_temperature.exp()
        loss = torch.nn.functional.cross_entropy(scaled, torch.from_numpy(target))
        loss.backward()
        return loss

    optimizer.step(closure)
    reference = log_temperature.detach().exp().item()
    assert fit_temperature(logits, target, bounds=BOUNDS) == pytest.approx(reference, rel=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_the_loss_is_never_above_that_of_the_logits_as_they_are(seed):
    logits, target = rows(seed, 5, 3, scale=10.0 ** (seed % 5 - 2))
    assert nll(logits, target, fit_temperature(logits, target, bounds=BOUNDS)) <= nll(logits, target, 1.0)


def test_rows_without_a_minimum_have_a_bound():
    logits = np.array([[2.0, 0.0], [0.0, 3.0]])
    assert fit_temperature(logits, np.array([0, 1]), bounds=BOUNDS) == BOUNDS[0]
    assert fit_temperature(logits, np.array([1, 0]), bounds=BOUNDS) == BOUNDS[1]
    assert fit_temperature(np.zeros((3, 2)), np.array([0, 1, 0]), bounds=BOUNDS) == 1.0  # any is as good


def test_three_of_four_right_by_two_by_hand():
    logits = np.array([[2.0, 0.0]] * 4)
    # sigmoid(2 / T) = 3 / 4
    assert fit_temperature(logits, np.array([0, 0, 0, 1]), bounds=BOUNDS) == pytest.approx(2 / np.log(3), rel=1e-6)


def test_padding_and_constants_of_rows_count_nothing():
    logits, target = rows(3, 50, 4, scale=3.0)
    padded = np.full((50, 6), -np.inf)
    padded[:, :4] = logits + np.arange(50)[:, None]
    expected = fit_temperature(logits, target, bounds=BOUNDS)
    assert fit_temperature(padded, target, bounds=BOUNDS) == pytest.approx(expected, rel=1e-6)
