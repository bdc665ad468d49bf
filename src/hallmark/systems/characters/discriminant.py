"""Classes that are told apart by the means of their embeddings, and those that are none of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve


@dataclass(frozen=True)
class Discriminant:
    """A linear discriminant analysis of classes that may have one sample.

    The logit of class c is x·S⁻¹μ_c − ½ μ_c·S⁻¹μ_c + ½ tr(S⁻¹S_w) / n_c, with equal priors. S_w is the covariance
    within classes and S = (1 − s)·S_w + s·tr(S_w)/D·I. The last term takes away what the mean of n_c samples adds to
    μ_c·S⁻¹μ_c by its own error, of covariance S_w / n_c: without it a new class of two is hardly ever the answer.
    All is computed from sums by class, so that it does not depend on the order in which samples came, as in streaming
    LDA (Hayes & Kanan 2020, arXiv:1909.01520).

    Attributes:
        classes: names [C] in alphabetical order.
        means: [C, D]; counts: samples of each [C].
        weights: S⁻¹μ [C, D]; biases: [C].
        precision: S⁻¹ as the factor of `cho_factor`.
        total_mean, total_precision: of all samples as one class, likewise.
    """

    classes: Sequence[str]
    means: NDArray[np.float64]
    counts: NDArray[np.int64]
    weights: NDArray[np.float64]
    biases: NDArray[np.float64]
    precision: tuple[NDArray[np.float64], bool]
    total_mean: NDArray[np.float64]
    total_precision: tuple[NDArray[np.float64], bool]

    @classmethod
    def fit(cls, vectors: NDArray, labels: Sequence[str], *, shrinkage: float) -> "Discriminant":
        """Of `vectors` [N, D] of the classes `labels`.

        Args:
            shrinkage: s in (0, 1]; above 0, because classes of one sample alone have no covariance.
        """
        classes, codes = np.unique(np.asarray(labels, dtype=object).astype(str), return_inverse=True)
        x = np.asarray(vectors, np.float64)
        counts = np.bincount(codes)
        sums = np.zeros((len(classes), x.shape[1]))
        np.add.at(sums, codes, x)
        means = sums / counts[:, None]
        deviations = x - means[codes]
        within = deviations.T @ deviations / len(x)
        centered = x - x.mean(axis=0)
        total = centered.T @ centered / len(x)
        if (
            not within.any()
        ):  # one sample a class: what they differ by is all that is known of how far samples lie apart
            within = total
        precision, total_precision = (cho_factor(_shrunk(each, shrinkage)) for each in (within, total))
        weights = cho_solve(precision, means.T).T
        noise = float(np.trace(cho_solve(precision, within)))
        biases = 0.5 * (noise / counts - (weights * means).sum(axis=1))
        return cls(
            [str(name) for name in classes], means, counts, weights, biases, precision, x.mean(axis=0), total_precision
        )

    def logits(self, vectors: NDArray) -> NDArray[np.float64]:
        """[N, C] of `vectors` [N, D]."""
        return np.asarray(vectors, np.float64) @ self.weights.T + self.biases

    def known(self, vectors: NDArray) -> NDArray[np.float64]:
        """[N], higher for a sample of one of the classes: how much nearer it is to the nearest mean than to the mean of
        all, as squared Mahalanobis distances (Ren et al. 2021, arXiv:2106.09022), those to means without their error.
        """
        x = np.asarray(vectors, np.float64)
        to_all = _squared(x - self.total_mean, self.total_precision)
        length = (x * cho_solve(self.precision, x.T).T).sum(axis=1)
        nearest = length - 2 * self.logits(x).max(axis=1)
        return to_all - nearest


def _shrunk(covariance: NDArray, shrinkage: float) -> NDArray:
    dimension = len(covariance)
    spread = np.trace(covariance) / dimension or 1.0
    return (1 - shrinkage) * covariance + shrinkage * spread * np.eye(dimension)


def _squared(deviations: NDArray, precision: tuple[NDArray, bool]) -> NDArray:
    return (deviations * cho_solve(precision, deviations.T).T).sum(axis=1)


def unknown_threshold(
    vectors: NDArray, labels: Sequence[str], *, shrinkage: float, false_accept_rate: float, most: int = 20
) -> float | None:
    """The least `Discriminant.known` at which a sample counts as one of the classes; None for fewer than three classes.

    Each class in turn is left out and its samples scored by the discriminant of the others, as those of somebody
    unknown; at most the share `false_accept_rate` of them lies at the threshold or above.

    Args:
        most: classes that are left out, evenly spaced in the alphabet where there are more.
    """
    names = np.asarray(labels, dtype=object).astype(str)
    classes = np.unique(names)
    if len(classes) < 3:
        return None
    chosen = classes[np.unique(np.linspace(0, len(classes) - 1, min(most, len(classes))).round().astype(int))]
    scores = []
    for name in chosen:
        remaining = names != name
        fitted = Discriminant.fit(vectors[remaining], names[remaining].tolist(), shrinkage=shrinkage)
        scores.append(fitted.known(vectors[~remaining]))
    ordered = np.sort(np.concatenate(scores))
    accepted = int(false_accept_rate * len(ordered))
    return float(np.nextafter(ordered[len(ordered) - accepted - 1], np.inf))
