"""Members of test size, and frames that they can learn from."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from hallmark.learning.encoders.timm_image import TimmImageEncoder
from hallmark.learning.optim import Optimizer
from hallmark.systems.deepfake.genconvit.described import DescribedNetwork
from hallmark.systems.deepfake.genconvit.module import GenConViT
from hallmark.systems.deepfake.module import FrameClassifier
from hallmark.systems.deepfake.networks import TextureNet

from .genconvit.sizes import CONVNEXT, SWIN

COMMON: dict[str, Any] = {
    "classes": ["real", "fake"], "augment": "none", "pooling": "mean", "label_smoothing": 0.0, "class_balance": 0.0,
}  # fmt: skip
TIMM = partial(
    TimmImageEncoder, name="test_resnet", weights="random", image_size=32, crop_pct=1.0, interpolation=None, mean=None,
    std=None, frozen=False, options={},
)  # fmt: skip
TEXTURE = partial(TextureNet, image_size=32, width=4)
NETWORK = partial(
    DescribedNetwork, image_size=32, convnext=CONVNEXT, swin={**SWIN, "options": {**SWIN["options"], "window_size": 2}},
    weights="random", reconstruction=True, width=4, latent=8, joined=8, embedding_dim=12, dropout=0.0,
)  # fmt: skip


def recipe(lr: float = 1e-2) -> Optimizer:
    return Optimizer(lr=lr, lr_scale=1.0, head_lr=lr, weight_decay=0.0, schedule="constant", warmup=0.0)


def classifier(encoder: Any = TEXTURE, **changes: Any) -> FrameClassifier:
    arguments = {"member": "effnet", "dropout": 0.0, "optimizer": recipe(), "freeze_epochs": 0, **COMMON}
    return FrameClassifier(encoder=encoder, **{**arguments, **changes})


def genconvit(variant: str = "vae", network: Any = NETWORK, **changes: Any) -> GenConViT:
    arguments = {
        "stages": {"autoencoder": 1, "heads": 1}, "mse_weight": 1.0, "kl_weight": 1e-3, "optimizer": recipe(), **COMMON
    }  # fmt: skip
    return GenConViT(variant=variant, network=network, **{**arguments, **changes})


def frames(n: int, size: int = 32) -> dict[str, Tensor]:
    """Batch of n frames of noise around a gray of their own."""
    generator = torch.Generator().manual_seed(n)
    gray = torch.randint(60, 200, (n, 3, 1, 1), generator=generator)
    noise = torch.randint(-20, 20, (n, 3, size, size), generator=generator)
    image = (gray + noise).clamp(0, 255).to(torch.uint8)
    return {"index": torch.arange(n), "target": torch.arange(n) % 2, "image": image}
