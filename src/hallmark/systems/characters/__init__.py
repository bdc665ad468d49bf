"""Pictures of characters: who is it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hallmark.systems.characters.online import OnlineLearningSystem

    OnlineLearner = OnlineLearningSystem

__all__ = ["OnlineLearner", "OnlineLearningSystem"]


def __getattr__(name: str) -> Any:
    # Torch and timm load with the first use, because a configuration imports this package as well.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hallmark.systems.characters.online import OnlineLearningSystem

    return OnlineLearningSystem
