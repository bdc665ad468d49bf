from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="session")
def make_predictions() -> Callable[..., pd.DataFrame]:
    """Builds a predictions table of one task from class indices; probabilities are one-hot unless given."""

    def make(
        target: Sequence[int | None],
        prediction: Sequence[int],
        *,
        groups: Sequence[object] | None = None,
        probabilities: np.ndarray | None = None,
        classes: Sequence[str] = ("negative", "neutral", "positive"),
        task: str = "main",
    ) -> pd.DataFrame:
        n = len(target)
        rows = np.eye(len(classes))[list(prediction)] if probabilities is None else probabilities
        frame = pd.DataFrame(
            {
                "id": [f"row{i}" for i in range(n)],
                "split": "val",
                "task": task,
                "group": [str(g) for g in (range(n) if groups is None else groups)],
                "target": [None if t is None else classes[t] for t in target],
                "prediction": [classes[p] for p in prediction],
                "confidence": rows.max(axis=1),
                "probabilities": list(rows.tolist()),
                "score": [float(t == p) for t, p in zip(target, prediction, strict=True)],
            }
        )
        frame.attrs["classes"] = {task: list(classes)}
        return frame

    return make


@pytest.fixture(scope="session")
def make_scores(make_predictions: Callable[..., pd.DataFrame]) -> Callable[..., pd.DataFrame]:
    """Builds a table of a task without classes from its scores, each of a group of its own unless said."""

    def make(scores: Sequence[float], groups: Sequence[object] | None = None) -> pd.DataFrame:
        frame = make_predictions([0] * len(scores), [0] * len(scores), groups=groups).assign(score=scores)
        frame.attrs["classes"] = {}
        return frame

    return make


@pytest.fixture(scope="session")
def make_guesses(make_predictions: Callable[..., pd.DataFrame]) -> Callable[..., pd.DataFrame]:
    """Builds a table of three classes with random probabilities, which favour the target by `skill`."""

    def make(
        rng: np.random.Generator, target: np.ndarray, groups: Sequence[object], skill: float, *, tied: bool = False
    ) -> pd.DataFrame:
        shares = rng.dirichlet(np.ones(3), len(target)) + skill * np.eye(3)[target]
        shares = np.round(shares, 1) + 0.05 if tied else shares
        shares /= shares.sum(axis=1, keepdims=True)
        return make_predictions(target, shares.argmax(1), groups=groups, probabilities=shares)

    return make


@pytest.fixture(scope="session")
def two_systems(make_guesses: Callable[..., pd.DataFrame]) -> Callable[..., tuple[pd.DataFrame, pd.DataFrame]]:
    """Builds the tables of two systems on the same rows, of which the second one is better."""

    def make(n: int = 120, groups: int = 24) -> tuple[pd.DataFrame, pd.DataFrame]:
        rng = np.random.default_rng(0)
        target, unit = rng.integers(3, size=n), rng.integers(groups, size=n)
        return make_guesses(rng, target, unit, 0.3), make_guesses(rng, target, unit, 0.6)

    return make


@pytest.fixture(scope="session")
def make_two_sets() -> Callable[..., pd.DataFrame]:
    """Builds a table of real and generated rows from their features [N, D] and [M, D].

    A row is a group of its own unless `groups` (of the real rows) and `generated_groups` say otherwise.
    """

    def make(
        real: np.ndarray,
        generated: np.ndarray,
        *,
        groups: Sequence[object] | None = None,
        generated_groups: Sequence[object] | None = None,
    ) -> pd.DataFrame:
        parts = [
            pd.DataFrame({
                "id": [f"{kind} {i}" for i in range(len(features))], "split": "val", "task": "main",
                "group": [f"{kind} {i}" for i in range(len(features))] if labels is None else list(map(str, labels)),
                "target": None, "prediction": None, "confidence": np.nan, "probabilities": None, "score": np.nan,
                "kind": kind, "features": list(features),
            })
            for kind, features, labels in (("real", real, groups), ("generated", generated, generated_groups))
        ]  # fmt: skip
        table = pd.concat(parts, ignore_index=True)
        table.attrs = {"classes": {}}
        return table

    return make
