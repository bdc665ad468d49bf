"""Studies drawn from a population of groups: rows of three unequal classes, and segmentations with their areas.

Groups differ in their mix of classes, in how well and with which bias they are classified, in IoU and in area; models
differ by the luck of their training, and each model has its luck with each group. Rows are easy or hard for all models
alike, in part.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

CLASSES = ("a", "b", "c")
SHARES = np.array([0.5, 0.3, 0.2])
TASK = "main"

_CONCENTRATION = 4.0  # of the Dirichlet distribution of a group's mix of classes
_SHARED = 0.5  # of the variance of a row's noise that all models see


@dataclass(frozen=True)
class World:
    """What is fixed, and the standard deviations of what is drawn; effects are on the scale of logits.

    Attributes:
        skill: by how much the true class exceeds the others, on average.
        iou: logit of the IoU of an answer that is not empty, on average.
        empty: share of answers with an IoU of 0.
        rows: least and largest number of rows of a group.
        group_skill, group_bias, group_iou, group_area: between groups; the area is on the log scale.
        luck: of a model's training, in its skill, its bias to each class and its IoU.
        cell: of a model with a group, in the same three.
        system: of a system with a group, whichever model, in skill and IoU.
        gains: mean skill and IoU of each system beyond those of the world.
    """

    skill: float = 1.6
    iou: float = 0.9
    empty: float = 0.15
    rows: tuple[int, int] = (5, 20)
    group_skill: float = 0.7
    group_bias: float = 0.4
    group_iou: float = 0.8
    group_area: float = 0.5
    luck: float = 0.0
    cell: float = 0.3
    system: float = 0.0
    gains: tuple[float, ...] = (0.0,)


@dataclass(frozen=True, eq=False)
class Layout:
    """Which of the trained models predicts each group in each pass over the data.

    Attributes:
        models: [P, G] model 0 .. M - 1 of pass and group.
    """

    models: Integers

    @property
    def n_models(self) -> int:
        return int(self.models.max()) + 1


@dataclass(frozen=True, eq=False)
class Study:
    """Rows [N] of one draw, and what S systems answered in P passes.

    Attributes:
        layout: its groups and models.
        group, target: [N] codes.
        area: [N] union of answer and truth in pixels.
        logits: [S, P, N, C].
        iou: [S, P, N].
    """

    layout: Layout
    group: Integers
    target: Integers
    area: Floats
    logits: Floats
    iou: Floats

    def classification(self, system: int = 0) -> pd.DataFrame:
        """The table of predictions of one system."""
        logits = self.logits[system]
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        probabilities = (powers / powers.sum(axis=-1, keepdims=True)).reshape(-1, len(CLASSES))
        names = np.array(CLASSES, dtype=object)
        prediction = probabilities.argmax(axis=1)
        target = np.tile(self.target, len(logits))
        table = self._table(
            target=names[target],
            prediction=names[prediction],
            probabilities=list(probabilities),
            score=(prediction == target).astype(np.float64),
        )
        table.attrs["classes"] = {TASK: list(CLASSES)}
        return table

    def segmentation(self, system: int = 0) -> pd.DataFrame:
        """The table of segmentations of one system."""
        iou, area = self.iou[system].ravel(), np.tile(self.area, len(self.iou[system]))
        masks = {"intersection": iou * area, "union": area, "target_area": area}
        table = self._table(target=None, prediction=None, probabilities=None, score=iou, **masks)
        table.attrs["classes"] = {}
        return table

    def _table(self, **columns: object) -> pd.DataFrame:
        passes, rows = self.logits.shape[1], len(self.group)
        group = np.tile(self.group, passes)
        table = pd.DataFrame({"id": np.arange(passes * rows), "task": TASK, "group": group, **columns})
        if self.layout.n_models > 1:
            table["repetition"] = np.repeat(np.arange(passes), rows)
            table["member"] = self.layout.models[:, self.group].ravel()
        return table


def one_model(n_groups: int) -> Layout:
    return Layout(np.zeros((1, n_groups), dtype=np.intp))


def seeds(n_groups: int, n: int) -> Layout:
    """n models, each of which predicts all groups."""
    return Layout(np.repeat(np.arange(n)[:, None], n_groups, axis=1))


def folds(n_groups: int, n_folds: int, n_repetitions: int, rng: np.random.Generator) -> Layout:
    """In each repetition the groups are dealt anew to folds, each with a model of its own."""
    shuffled = (rng.permutation(np.arange(n_groups) % n_folds) for _ in range(n_repetitions))
    return Layout(np.stack([fold + n_folds * repetition for repetition, fold in enumerate(shuffled)]))


def draw(world: World, layout: Layout, rng: np.random.Generator) -> Study:
    """One study, in which the answers of all systems are to the same rows."""
    passes, n_groups = layout.models.shape
    group = np.repeat(np.arange(n_groups), rng.integers(world.rows[0], world.rows[1] + 1, n_groups))
    n = len(group)
    mix = rng.dirichlet(_CONCENTRATION * SHARES, n_groups).cumsum(axis=1)
    target = (rng.random(n)[:, None] > mix[group, :-1]).sum(axis=1)
    effects = rng.standard_normal((n_groups, 2 + len(CLASSES)))  # IoU, skill and one bias a class
    scale = np.array([world.group_iou, world.group_skill, *[world.group_bias] * len(CLASSES)])
    area = np.exp(rng.standard_normal(n) + world.group_area * rng.standard_normal((n_groups,))[group])
    noise = rng.standard_normal((n, 2 + len(CLASSES)))  # IoU, emptiness and one a class
    logits, iou = [], []
    for gain in world.gains:
        level = (effects * scale)[group] + _system_effects(world, gain, n_groups, rng)[group]
        of_models = world.luck * rng.standard_normal((layout.n_models, 2 + len(CLASSES)))
        of_cells = world.cell * rng.standard_normal((passes, n_groups, 2 + len(CLASSES)))
        total = level + of_models[layout.models[:, group]] + of_cells[:, group]
        private = rng.standard_normal((passes, n, 2 + len(CLASSES)))
        seen = np.sqrt(_SHARED) * noise + np.sqrt(1 - _SHARED) * private
        scores = seen[..., 2:] + total[..., 2:]
        scores[:, np.arange(n), target] += world.skill + total[..., 1]
        overlap = 1 / (1 + np.exp(-(world.iou + total[..., 0] + 1.2 * seen[..., 0])))
        logits.append(scores)
        iou.append(np.where(seen[..., 1] < NormalDist().inv_cdf(world.empty), 0.0, overlap))
    return Study(layout, group, target, area, np.stack(logits), np.stack(iou))


def _system_effects(world: World, gain: float, n_groups: int, rng: np.random.Generator) -> Floats:
    """[G, 2 + C]: of IoU and skill; a system has no bias of its own."""
    effects = np.zeros((n_groups, 2 + len(CLASSES)))
    effects[:, :2] = gain + world.system * rng.standard_normal((n_groups, 2))
    return effects
