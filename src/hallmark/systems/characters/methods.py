"""The methods by which roles are told apart, by name."""

from collections.abc import Callable, Mapping
from typing import Any

from hallmark.checks import SettingError, require
from hallmark.systems.characters.discriminant import CosineDiscriminant, Discriminant
from hallmark.systems.characters.learner import Learner
from hallmark.systems.characters.nearest_mean import NearestMean
from hallmark.systems.characters.random_projection import RandomProjection

METHODS: Mapping[str, tuple[Callable[..., Learner], tuple[str, ...]]] = {
    "cosine": (CosineDiscriminant, ("shrinkage", "update_covariance")),
    "lda": (Discriminant, ("shrinkage", "update_covariance")),
    "ncm": (NearestMean, ()),
    "ranpac": (RandomProjection, ("features",)),
}
"""What learns by a method, and the settings that are its own."""

DEFAULTS: Mapping[str, Any] = {"shrinkage": 0.5, "update_covariance": True, "features": 2000}

_LEAST_SHRINKAGE = 1e-6  # below it the inverse of a covariance of few samples is rounding error
_MOST_FEATURES = 20_000  # whose products have 3.2 GB


def checked_settings(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `method` among all those `given`.

    Raises:
        SettingError: an unknown method, a value out of range, or one that the method does not read.
    """
    require(method in METHODS, "method", method, f"one of {', '.join(METHODS)}")
    least, most = _LEAST_SHRINKAGE, _MOST_FEATURES
    require(least <= given["shrinkage"] <= 1, "shrinkage", given["shrinkage"], f"in [{least:g}, 1]")
    require(1 <= given["features"] <= most, "features", given["features"], f"from 1 to {most:,}")
    names = METHODS[method][1]
    for name, value in given.items():
        if name not in names and value != DEFAULTS[name]:
            raise SettingError(name, value, f"nothing, because {method} has no such setting")
    return {name: given[name] for name in names}


def new_learner(method: str, dimension: int, settings: Mapping[str, Any]) -> Learner:
    """What has learned nothing yet of vectors of `dimension` numbers."""
    arguments = {name: value for name, value in settings.items() if name != "update_covariance"}
    return METHODS[method][0](dimension, **arguments)


def default_learner(method: str, dimension: int) -> Learner:
    """`new_learner` with the `DEFAULTS` of its settings."""
    return new_learner(method, dimension, {name: DEFAULTS[name] for name in METHODS[method][1]})
