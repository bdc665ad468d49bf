"""Pictures and videos of faces: real or fake."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hallmark.systems.deepfake.extractor import FeatureExtractor

__all__ = ["FeatureExtractor"]


def __getattr__(name: str) -> Any:
    # Torch and timm load with the first use, because a configuration imports this package as well.
    if name != "FeatureExtractor":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hallmark.systems.deepfake.extractor import FeatureExtractor

    return FeatureExtractor
