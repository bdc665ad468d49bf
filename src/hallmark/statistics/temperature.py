"""Temperature scaling (Guo et al. 2017, arXiv:1706.04599, section 4.2)."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from hallmark.statistics.metrics.classification import Floats


def fit_temperature(logits: Floats, target: NDArray[np.intp], *, bounds: tuple[float, float]) -> float:
    """The temperature T of the least mean NLL of softmax(logits / T), which is never above that of T = 1.

    Args:
        logits: [N, C], of any scale and up to a constant of each row; -inf pads rows of fewer classes.
        target: [N], the column of each row that is right.
        bounds: lowest and highest T, 1 between them. Rows that T can make certain have theirs at the lowest, rows on
            which the logits are no use at the highest.
    """
    rows = np.arange(len(target))
    differences = logits - logits[rows, target][:, None]

    def loss(temperature: float) -> float:
        return float(logsumexp(differences / temperature, axis=1).mean())

    # In log T the scale of the logits is a shift, and the loss has one minimum: it is convex in 1 / T.
    inner = minimize_scalar(
        lambda t: loss(np.exp(t)), bounds=tuple(np.log(bounds)), method="bounded", options={"xatol": 1e-8}
    )
    return min((1.0, float(np.exp(inner.x)), *bounds), key=loss)
