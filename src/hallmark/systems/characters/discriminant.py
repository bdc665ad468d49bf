"""Classes that are told apart by the means of their embeddings and one covariance of all."""

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from hallmark.systems.characters.learner import Learner, products
from hallmark.systems.characters.scatter import Scatter, moved

_EXACT = 20  # classes, of which one is left out as if it had never been there; of more, the ridge stays as it is
_ROUNDING = 1e-10  # share of two squared lengths that their difference has by rounding alone
_FEW = 8  # columns that are multiplied faster each by itself


class Discriminant(Learner):
    """A linear discriminant analysis of classes that may have one sample, and that come and go.

    The logit of class c is x·S⁻¹μ_c − ½ μ_c·S⁻¹μ_c + ½ tr(S⁻¹S_w) / n_c, with equal priors. S_w is the covariance
    within classes and S = (1 − s)·S_w + s·tr(S_w)/D·I, the second term rounded as `Scatter` says. The last term takes
    away what the mean of n_c samples adds to μ_c·S⁻¹μ_c by its own error, of covariance S_w / n_c: without it a new
    class of two is hardly ever the answer. All is computed from sums by class, so that it does not depend on the order
    in which samples came, as in streaming LDA (Hayes & Kanan 2020, arXiv:1909.01520).

    `add` and `remove` cost k·D² + k·C·D for k samples, and D³ + C·D² only where the ridge is rounded to another value,
    every 2 % that the trace of the scatter grows by. `logits` cost D² + C·D a sample.

    Args:
        dimension: D.
        shrinkage: s in (0, 1]; above 0, because classes of one sample alone have no covariance.
    """

    def __init__(self, dimension: int, *, shrinkage: float) -> None:
        super().__init__(dimension)
        self._within = Scatter(dimension, shrinkage=shrinkage)
        self._total = Scatter(dimension, shrinkage=shrinkage)
        self._samples, self._sum = 0, np.zeros(dimension)
        self._is_frozen = False
        self._squares: NDArray[np.float64] | None = None  # Σ_c A⁻¹ Σ_c of the sums by class, where it is known
        self._of_center: NDArray[np.float64] | None = None  # x̄ A⁻¹ Σ_c, likewise

    @classmethod
    def fit(cls, vectors: NDArray, labels: Sequence[str], *, shrinkage: float) -> Self:
        """Of `vectors` [N, D] of the classes `labels`."""
        fitted = cls(vectors.shape[1], shrinkage=shrinkage)
        fitted.add_all(vectors, labels)
        return fitted

    def freeze_covariance(self) -> None:
        """Let samples from here on change the means of their classes alone.

        The logits of a class are then bit for bit the same whatever becomes of other classes.
        """
        self._is_frozen = True

    def logits(self, vectors: NDArray) -> NDArray[np.float64]:
        scores, biases = self.parts(vectors)
        return scores + biases

    def parts(self, vectors: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What of the logits are products with the means [N, C], and the rest [C]: x·S⁻¹μ, −½ μ·S⁻¹μ + ½ tr / n."""
        x, counts = np.asarray(vectors, np.float64), self.counts.astype(float)
        scores = self._samples * products(x @ self._shared.inverse, self.sums) / counts
        return scores, self.corrections - 0.5 * self._samples * self._squared_sums() / counts**2

    @property
    def corrections(self) -> NDArray[np.float64]:
        """½ tr(S⁻¹S_w) / n_c [C], in the biases."""
        return 0.5 * self._shared.noise / self.counts

    def known(self, vectors: NDArray, logits: NDArray) -> NDArray[np.float64]:
        """The largest of `cosines`."""
        return np.asarray(self.cosines(vectors).max(axis=1))

    def cosines(self, vectors: NDArray) -> NDArray[np.float64]:
        """[N, C] in [−1, 1] between samples and means, seen from the mean of all samples, in the metric S⁻¹: like for
        like whatever the classes are, and whatever the error of a mean adds to its length.
        """
        inverse, center, counts = self._shared.inverse, self._sum / self._samples, self.counts.astype(float)
        deviations = np.asarray(vectors, np.float64) - center
        turned = deviations @ inverse
        along = products(turned, self.sums) / counts - (turned @ center)[:, None]
        if self._of_center is None:
            self._of_center = products((inverse @ center)[None], self.sums)[0]
        of_means, of_center = self._squared_sums() / counts**2, center @ inverse @ center
        squares = of_means - 2 * self._of_center / counts + of_center
        squares = np.where(squares > _ROUNDING * (of_means + of_center), squares, 0)
        lengths = np.sqrt((deviations * turned).sum(axis=1))[:, None] * np.sqrt(squares)
        # What lies at the center, such as the only class, has no direction.
        return np.divide(along, lengths, out=np.zeros_like(along), where=lengths > 0)

    def distances(self, vectors: NDArray, logits: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Squared Mahalanobis distances [N] to the mean of all samples, and to the nearest mean of a class without its
        error; the first less the second is the relative one of Ren et al. (2021, arXiv:2106.09022).
        """
        x = np.asarray(vectors, np.float64)
        deviations = x - self._sum / self._samples
        to_all = self._samples * (deviations * (deviations @ self._total.inverse)).sum(axis=1)
        lengths = self._samples * (x * (x @ self._shared.inverse)).sum(axis=1)
        return to_all, lengths - 2 * logits.max(axis=1)

    def add(self, label: str, vectors: NDArray) -> int:
        x = np.asarray(vectors, np.float64)
        if not self._is_frozen:
            index = self._indices.get(label)
            count, total = (int(self.counts[index]), self.sums[index]) if index is not None else (0, self._sum)
            self._change(moved(x, count, total), moved(x, self._samples, self._sum), 1)
            self._samples, self._sum = self._samples + len(x), self._sum + x.sum(axis=0)
        index = super().add(label, x)
        self._of_center = None
        if self._squares is not None:
            if index == len(self._squares):
                self._squares = np.append(self._squares, 0)
            self._squares[index] = self._square(index)
        return index

    def remove(self, label: str, vectors: NDArray) -> int | None:
        x = np.asarray(vectors, np.float64)
        before = self._indices[label]
        index = super().remove(label, x)
        self._of_center = None
        if index is None and self._squares is not None:
            self._squares = np.delete(self._squares, before)
        if not self._is_frozen:
            self._samples, self._sum = self._samples - len(x), self._sum - x.sum(axis=0)
            count, total = (int(self.counts[index]), self.sums[index]) if index is not None else (0, self._sum)
            self._change(moved(x, count, total), moved(x, self._samples, self._sum), -1)
        if index is not None and self._squares is not None:
            self._squares[index] = self._square(index)
        return index

    def without(self, label: str, vectors: NDArray) -> Self:
        is_fixed = len(self.classes) > _EXACT
        other = self.copied()
        other._squares = self._squared_sums().copy() if is_fixed else None
        other._within, other._total = (part.copy(is_fixed=is_fixed) for part in (self._within, self._total))
        other.remove(label, vectors)
        return other

    @property
    def _shared(self) -> Scatter:
        """Within classes; while each has one sample, what they differ by is all that is known of how far samples lie
        apart.
        """
        return self._within if self._within.trace > 0 else self._total

    def _change(self, within: NDArray, total: NDArray, sign: int) -> None:
        """Change the two scatters by these rows [k, D], and what of all classes depends on them."""
        before = self._shared
        of_within, of_total = self._within.change(within, sign), self._total.change(total, sign)
        if sign < 0 and self.counts.max(initial=0) < 2:
            self._within.clear()  # of what rounding has left
        update = of_within if self._shared is self._within else of_total
        if self._shared is not before or update is None:
            self._squares = None
        elif self._squares is not None:
            solved, inner = update
            # BLAS is slow at a product with few columns.
            columns = [self.sums @ solved[:, [column]] for column in range(len(inner))]
            along = np.hstack(columns) if 0 < len(inner) <= _FEW else self.sums @ solved
            self._squares -= ((along @ inner) * along).sum(axis=1)

    def _squared_sums(self) -> NDArray[np.float64]:
        if self._squares is None:
            if self._is_frozen:  # as one is computed that is added later, bit for bit
                self._squares = np.array([self._square(index) for index in range(len(self.classes))])
            else:
                self._squares = np.einsum("cd,cd->c", self.sums @ self._shared.inverse, self.sums)
        return self._squares

    def _square(self, index: int) -> float:
        total = self.sums[index]
        return float(total @ self._shared.inverse @ total)


class CosineDiscriminant(Discriminant):
    """The class whose mean has the largest cosine with the sample in the metric of the covariance within classes.

    Logits are `Discriminant.cosines` (cosine scoring after within-class covariance normalization, Dehak et al. 2011,
    doi:10.1109/TASL.2010.2064307).

    The error of a mean of few samples makes it longer in all directions alike, which no cosine sees.
    """

    def logits(self, vectors: NDArray) -> NDArray[np.float64]:
        return self.cosines(vectors)

    def known(self, vectors: NDArray, logits: NDArray) -> NDArray[np.float64]:
        return np.asarray(logits.max(axis=1))
