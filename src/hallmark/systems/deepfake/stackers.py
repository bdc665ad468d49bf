"""What joins the logits of several detectors: their mean, and classifiers that have to beat it.

N rows, M members, D widths of an embedding. A logit is ln P(fake) − ln P(real).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from hallmark.learning.fitted.estimators import estimator_probabilities, estimator_state
from hallmark.runs.metrics import MAIN
from hallmark.statistics import Resampling, paired_difference
from hallmark.statistics.temperature import fit_temperature
from hallmark.systems.deepfake.manifest import CLASSES

MEAN = "mean"
STACKERS = ("logistic_regression", "boosted_trees", "lightgbm", "embedding")

_TEMPERATURES = (0.05, 1e6)
_FOLDS = 5
_COMPARED = ("log_loss", "auroc")
_LEAST = 1e-15  # probability, before its logarithm


@dataclass(frozen=True)
class Features:
    """What stackers see of N rows: the members' logits [N, M], and the embedding of one of them [N, D] or None."""

    logits: NDArray
    embedding: NDArray | None = None

    def __getitem__(self, rows: NDArray) -> "Features":
        return Features(self.logits[rows], None if self.embedding is None else self.embedding[rows])


@dataclass(frozen=True)
class Comparison:
    """A stacker against the one before it, on rows of folds that neither was fitted on.

    Attributes:
        stacker, against: their names.
        log_loss, auroc: of the stacker; `difference` and its ends, of the log loss, are its own less the other's.
        is_used: whether the interval lies below 0, so that the stacker takes the place of the other.
    """

    stacker: str
    against: str
    log_loss: float
    auroc: float
    log_loss_difference: float
    log_loss_difference_low: float
    log_loss_difference_high: float
    auroc_difference: float
    auroc_difference_low: float
    auroc_difference_high: float
    is_used: bool

    @property
    def sentence(self) -> str:
        """Which of the two is used, and why."""
        ends = f"[{self.log_loss_difference_low:.4f}, {self.log_loss_difference_high:.4f}]"
        verb, used = ("beats", self.stacker) if self.is_used else ("does not beat", self.against)
        return (
            f"{self.stacker} {verb} {self.against}: log loss {self.log_loss_difference:+.4f} {ends} out of fold; "
            f"{used} is used"
        )


def class_probabilities(fake: NDArray) -> NDArray:
    """Probabilities [N, 2] of real and fake from those of fake [N]."""
    return np.column_stack([1 - fake, fake])


def fake_logits(fake: NDArray) -> NDArray:
    """Logits [N] of P(fake) [N], which may be 0 and 1."""
    return logits_of(class_probabilities(fake))


def logits_of(probabilities: NDArray) -> NDArray:
    """Logits [N] of probabilities [N, 2] of real and fake, which may be 0 and 1."""
    logarithms = np.log(np.maximum(np.asarray(probabilities, np.float64), np.finfo(np.float64).tiny))
    logits: NDArray = logarithms[:, 1] - logarithms[:, 0]
    return logits


def fit_slope(logits: NDArray, fake: NDArray) -> float:
    """1 / T of the temperature T that gives logits [N] the least log loss, in 0 to 20.

    It is 0 where larger logits do not go with `fake` [N]: the member then counts nothing.
    """
    if np.where(fake, logits, -logits).sum() <= 0:  # the slope of the loss at 0
        return 0.0
    return 1 / fit_temperature(np.stack([0 * logits, logits], axis=1), fake.astype(int), bounds=_TEMPERATURES)


def fit_stacker(name: str, features: Features, fake: NDArray, strength: float) -> dict[str, Any]:
    """The state of a stacker, arrays and plain values.

    Args:
        name: `mean`, of the members' calibrated logits, calibrated again; `logistic_regression`, `boosted_trees` (of
            scikit-learn) or `lightgbm` on the calibrated logits; `embedding`, a logistic regression on the embedding.
        strength: of the regularization; of trees the L2 one, of a regression 1 / C.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # a run that was fitted does without them
    from sklearn.linear_model import LogisticRegression

    slopes = np.array([fit_slope(member, fake) for member in features.logits.T])
    if name == MEAN:
        together = (features.logits * slopes).mean(axis=1)
        return {"stacker": name, "slopes": slopes, "slope": fit_slope(together, fake)}
    state: dict[str, Any] = {"stacker": name, "slopes": slopes}
    if name == "embedding":
        assert features.embedding is not None
        center, spread = features.embedding.mean(axis=0), features.embedding.std(axis=0)
        state |= {"center": center, "spread": np.where(spread > 0, spread, 1.0)}
    estimator: Any
    if name == "lightgbm":
        from lightgbm import LGBMClassifier  # an extra

        estimator = LGBMClassifier(
            reg_lambda=strength, n_estimators=50, num_leaves=8, random_state=0, deterministic=True, force_row_wise=True,
            n_jobs=1, verbose=-1,
        )  # fmt: skip
    elif name == "boosted_trees":
        # Early stopping would select on rows of its own, drawn without regard to groups.
        estimator = HistGradientBoostingClassifier(
            l2_regularization=strength, max_iter=50, max_leaf_nodes=8, early_stopping=False, random_state=0
        )
    else:
        estimator = LogisticRegression(C=1 / strength, max_iter=1000)
    return {**state, **estimator_state(estimator.fit(_inputs(state, features), fake.astype(int)))}


def fake_probability(state: Mapping[str, Any], features: Features) -> NDArray:
    """P(fake) [N] by the state of a stacker."""
    inputs = _inputs(state, features)
    if state["stacker"] == MEAN:
        return np.asarray(expit(state["slope"] * inputs.mean(axis=1)))
    return estimator_probabilities(state, inputs)[:, 1]


def choose_stacker(
    names: Sequence[str], features: Features, fake: NDArray, group: NDArray, *, strength: float, resampling: Resampling
) -> tuple[dict[str, Any], list[Comparison]]:
    """The state of the stacker that is used, fitted on all rows, and how it was chosen.

    The mean is used unless a stacker beats it, and one that does is used unless the next beats it: on the rows of
    grouped folds that both were not fitted on, the paired interval of the difference of their log losses, over groups,
    lies below 0.

    Args:
        names: of `STACKERS`, in their order.
        group: [N], what folds keep together and intervals resample.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    n_folds = min(_FOLDS, *(len(np.unique(group[fake == kind])) for kind in (False, True)))
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=resampling.seed)
    folds = list(splitter.split(group, fake, group))

    def held_out(name: str) -> pd.DataFrame:
        answers = np.empty(len(fake))
        for fit, others in folds:
            state = fit_stacker(name, features[fit], fake[fit], strength)
            answers[others] = fake_probability(state, features[others])
        return _table(answers, fake, group)

    used, of_used = MEAN, held_out(MEAN)
    comparisons = []
    for name in names:
        of_name = held_out(name)
        comparison = _compare(name, used, of_used, of_name, resampling)
        comparisons.append(comparison)
        if comparison.is_used:
            used, of_used = name, of_name
    return fit_stacker(used, features, fake, strength), comparisons


def comparison_table(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """One row a comparison."""
    return pd.DataFrame([asdict(comparison) for comparison in comparisons])


def _inputs(state: Mapping[str, Any], features: Features) -> NDArray:
    if state["stacker"] == "embedding":
        assert features.embedding is not None
        return np.asarray((features.embedding - state["center"]) / state["spread"])
    return features.logits * state["slopes"]


def _compare(name: str, against: str, before: pd.DataFrame, after: pd.DataFrame, resampling: Resampling) -> Comparison:
    from sklearn.metrics import log_loss, roc_auc_score

    differences = {
        metric: paired_difference(before, after, metric, resampling=resampling).difference for metric in _COMPARED
    }
    ends = {
        f"{metric}_difference{end}": getattr(interval, part)
        for metric, interval in differences.items()
        for end, part in (("", "estimate"), ("_low", "low"), ("_high", "high"))
    }
    fake, answers = after["target"] == "fake", np.array(after["probabilities"].tolist())[:, 1]
    return Comparison(
        name, against, float(log_loss(fake, answers)), float(roc_auc_score(fake, answers)), **ends,
        is_used=bool(differences["log_loss"].high < 0),
    )  # fmt: skip


def _table(answers: NDArray, fake: NDArray, group: NDArray) -> pd.DataFrame:
    """A predictions table of P(fake) [N], as comparisons read it."""
    names = np.array(CLASSES, dtype=object)
    target, prediction = names[fake.astype(int)], names[(answers > 0.5).astype(int)]
    answers = np.clip(answers, _LEAST, 1 - _LEAST)
    table = pd.DataFrame({
        "id": np.arange(len(fake)).astype(str), "task": MAIN, "group": group, "target": target,
        "prediction": prediction, "probabilities": list(class_probabilities(answers)),
        "score": (target == prediction).astype(float),
    })  # fmt: skip
    table.attrs = {"classes": {MAIN: [*names]}}
    return table
