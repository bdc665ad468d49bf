"""Networks of the published layouts that fit into a test."""

from typing import Any

from hallmark.systems.deepfake.genconvit.described import DescribedNetwork
from hallmark.systems.deepfake.genconvit.published import PublishedNetwork

CONVNEXT = {"name": "convnext_tiny", "options": {"depths": [1, 1, 1, 1], "dims": [8, 8, 16, 16]}}
SWIN = {
    "name": "swin_tiny_patch4_window7_224",
    "options": {"embed_dim": 8, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 2, 2], "window_size": 4},
}


def sized(node: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {**node, "options": {**node["options"], **options}}


def published(variant: str, **changes: Any) -> PublishedNetwork:
    common = {
        "image_size": 64, "width": 2, "weights": "random", "convnext": sized(CONVNEXT, num_classes=12),
        "swin": sized(SWIN, num_classes=12, img_size=64),
    }  # fmt: skip
    return PublishedNetwork(variant, **{**common, **changes})


def described(variant: str = "vae", **changes: Any) -> DescribedNetwork:
    common = {
        "image_size": 64, "convnext": CONVNEXT, "swin": SWIN, "weights": "random", "reconstruction": True, "width": 4,
        "latent": 8, "joined": 8, "embedding_dim": 12, "dropout": 0.0,
    }  # fmt: skip
    return DescribedNetwork(variant, **{**common, **changes})
