"""Embeddings of frames by any member of the cascade, or by a model of timm as it is published."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from hallmark.checks import SettingError, UserError, require
from hallmark.data.images import PixelTransform, upright_rgb
from hallmark.learning.embeddings import embedded
from hallmark.learning.encoders.base import ImageEncoder
from hallmark.learning.encoders.timm_image import TimmImageEncoder
from hallmark.learning.encoders.weights import safe_load
from hallmark.learning.module import Batch
from hallmark.runs.run import open_run
from hallmark.systems.deepfake.genconvit.module import GenConViT
from hallmark.systems.deepfake.manifest import CLASSES
from hallmark.systems.deepfake.module import MEMBER, FrameClassifier, FrameModule

MEMBERS: dict[str, type[FrameModule]] = {built.__name__: built for built in (FrameClassifier, GenConViT)}


class FeatureExtractor:
    """What the last layer of a detector sees of frames, as NumPy arrays.

    >>> extractor = FeatureExtractor("effnet", "outputs/deepfake_effnet/latest")
    >>> embeddings, labels = extractor.extract(loader)

    Args:
        model_name: of a member, such as stage1, effnet, genconvit_ed and genconvit_vae, also as stage2_… or deepfake_…;
            or of a model of timm.
        checkpoint_path: the folder of a finished run, also as `open_run` resolves it, or its best.ckpt, which says
            itself what it is of; for a model of timm a state dict, or None for its published weights.

    Attributes:
        transform: from a picture of Pillow, of any mode, to the pixels uint8 [3, S, S] that the model takes.
        class_to_idx: numbers of the labels that the model was trained on; {} for a model of timm.
        embedding_dim: D.
        member: the whole detector, None for a model of timm.

    Raises:
        SettingError: another model than the checkpoint holds, or no such file.
        UserError: a damaged checkpoint, or one that holds more than tensors and plain values.
        MissingWeightsError: published weights are not at hand.
    """

    def __init__(self, model_name: str, checkpoint_path: str | Path | None = None) -> None:
        path = None if checkpoint_path is None else _checkpoint(Path(checkpoint_path).expanduser())
        saved = safe_load(path) if path is not None and path.suffix != ".safetensors" else {}
        self.class_to_idx: dict[str, int] = {}
        self.member: FrameModule | None = None
        if isinstance(saved, dict) and MEMBER in saved:
            self.member = member = restored(saved).requires_grad_(False)
            names = member.member_names
            expected = f"what {path} holds: {' or '.join(names)}"
            require(model_name.removeprefix("deepfake_") in names, "model_name", model_name, expected)
            self.class_to_idx = {name: number for number, name in enumerate(CLASSES)}
            self.module = _Frames(member.encoder, member.embedding)
        else:
            plain = _of_timm(model_name, path)
            self.module = _Frames(plain, lambda batch: plain(batch["image"]))
        self.module.eval().requires_grad_(False)
        self.transform: PixelTransform = _OfAnyPicture(self.module.encoder.transform)
        self.embedding_dim = self.module.encoder.embedding_dim

    def extract(self, loader: Iterable[Any]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Embeddings float32 [N, D] and labels int64 [N] of all rows in the order of the loader.

        Args:
            loader: of batches: mappings with `image` and `target`, or pairs (images, labels). Images [B, 3, S, S] are
                bytes as `transform` gives them, or floats that are normalized by the model's own mean and std.

        Raises:
            UserError: images of another shape, labels that are no whole numbers or not one for each image.
        """
        return embedded(self.module, loader)


class _OfAnyPicture:
    """A transform that takes pictures of every mode, and gives pixels that can be written to."""

    def __init__(self, transform: PixelTransform) -> None:
        self.settings, self._of_rgb = transform.settings, transform

    def __call__(self, image: Image.Image, /) -> NDArray:
        return np.array(self._of_rgb(upright_rgb(image)), order="C")


class _Frames(nn.Module):
    """Embeds batches of bytes or of normalized floats."""

    def __init__(self, encoder: ImageEncoder, of_bytes: Callable[[Batch], Tensor]) -> None:
        super().__init__()
        self.encoder, self.of_bytes = encoder, of_bytes

    def embedding(self, batch: Batch) -> Tensor:
        image = batch["image"]
        if image.ndim != 4 or image.shape[1] != 3:
            raise UserError(f"images of shape {tuple(image.shape)}: expected [B, 3, S, S], as `transform` makes them")
        if image.is_floating_point():
            image = self.encoder.unnormalized(image)
        return self.of_bytes({**batch, "image": image})


def restored(saved: dict[str, Any]) -> FrameModule:
    """The member of a checkpoint, with its weights.

    Raises:
        UserError: what the checkpoint says of itself is not whole, or its weights are of another model.
    """
    entry = saved[MEMBER]
    try:
        member = MEMBERS[entry["class"]].restored(entry["arguments"])
        member.load_state_dict(saved["state_dict"])
    except (AttributeError, KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"the checkpoint does not hold the member that it names ({error})") from error
    return member


def _checkpoint(path: Path) -> Path:
    file = path / "checkpoints" / "best.ckpt"
    if path.is_file() or file.is_file():
        return file if path.is_dir() else path
    expected = "the folder of a finished run, or the file of a checkpoint"
    try:
        run = open_run(path)
    except ValueError as error:
        raise SettingError("checkpoint_path", str(path), f"{expected} ({error})") from error
    require(run.best.is_file(), "checkpoint_path", str(path), f"{expected}; there is no {run.best}")
    return run.best


def _of_timm(model_name: str, path: Path | None) -> TimmImageEncoder:
    try:
        return TimmImageEncoder(
            name=model_name, weights="pretrained" if path is None else str(path.absolute()), image_size=None,
            crop_pct=None, interpolation=None, mean=None, std=None, frozen=True, options={},
        )  # fmt: skip
    except SettingError as error:
        raise SettingError("model_name", model_name, error.expected) from error
