"""Crops of faces: the largest face of each picture, its box and how many there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hallmark.checks import SettingError, require
from hallmark.data.images import read_image
from hallmark.learning.encoders.weights import MissingWeightsError, local_path
from hallmark.storage.cache import FileCache
from hallmark.storage.files import atomic_path
from hallmark.storage.hashing import digest, digest_file
from hallmark.storage.requirements import Requirement
from hallmark.systems.deepfake.mtcnn import FILES, Mtcnn

_PACKAGED = "package:facenet_pytorch/data"
_WAYS = "a folder with pnet.pt, rnet.pt and onet.pt, or null with them installed: pip install --no-deps facenet-pytorch"


class Detector(Protocol):
    """Finds faces in a picture: float [F, 5], left, top, right and bottom in pixels and probability."""

    def __call__(self, picture: Image.Image, /) -> NDArray: ...


@dataclass(frozen=True)
class Crop:
    """What was found in a picture.

    Attributes:
        faces: how many.
        box: left, top, right, bottom of the crop in pixels; None without a face.
        path: the crop as PNG; None without a face.
    """

    faces: int
    box: tuple[int, int, int, int] | None
    path: Path | None


class FaceCrops:
    """Square crops about the largest face of pictures, by MTCNN.

    Args:
        weights: folder of the three networks; None takes them from the installed package facenet-pytorch, of which
            nothing is imported.
        margin: how much longer the side of a crop is than the longer side of the face's box, as a share of it.
        smallest: pixels of the smallest face that is looked for.
        thresholds: least probabilities of the three networks.
    """

    def __init__(self, *, weights: str | None, margin: float, smallest: int, thresholds: Sequence[float]) -> None:
        require(margin >= 0, "margin", margin, "a share of the box's side, 0 or more")
        require(smallest >= 12, "smallest", smallest, "at least 12 pixels")
        valid = len(thresholds) == 3 and all(0 < threshold < 1 for threshold in thresholds)
        require(valid, "thresholds", list(thresholds), "three probabilities in (0, 1)")
        folder, problem = _weights_folder(weights)
        if folder is None:
            raise SettingError("weights", weights, f"{_WAYS}; {problem}")
        self.folder, self.margin, self.smallest = folder, margin, smallest
        self.thresholds = (thresholds[0], thresholds[1], thresholds[2])

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """The weights of the detector."""
        folder, problem = _weights_folder(arguments["weights"])
        text = "MTCNN's face detector" + (f" in {folder}" if folder else "")
        return [Requirement(text, problem, "" if folder else "pip install --no-deps facenet-pytorch")]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All that decides a crop."""
        return {
            "weights": [digest_file(self.folder / name) for name in FILES], "margin": self.margin,
            "smallest": self.smallest, "thresholds": list(self.thresholds),
        }  # fmt: skip

    @cached_property
    def detector(self) -> Detector:
        return Mtcnn(self.folder, smallest=self.smallest, thresholds=self.thresholds)

    def crop(self, paths: Sequence[Path], digests: Sequence[str], cache: Path) -> list[Crop]:
        """The crop of each picture, stored under `cache` by its content and `settings`."""
        folder = cache / "faces" / digest(self.settings)
        boxes = FileCache(folder, ".json")
        crops = []
        for path, content in zip(paths, digests, strict=True):
            target = folder / content[:2] / f"{content}.png"
            entry = boxes.get(content)
            if entry is None or (entry["box"] and not target.exists()):
                entry = self._look(path, target)
                boxes.put(content, entry)
            box = tuple(entry["box"]) if entry["box"] else None
            crops.append(Crop(entry["faces"], box, target if box else None))
        return crops

    def _look(self, path: Path, target: Path) -> dict[str, Any]:
        """Write the crop of a picture; gives the number of faces and the crop's box."""
        picture = read_image(path)
        faces = self.detector(picture)
        if not len(faces):
            return {"faces": 0, "box": None}
        areas = (faces[:, 2] - faces[:, 0]) * (faces[:, 3] - faces[:, 1])
        box = crop_box(faces[int(np.argmax(areas))], picture.size, self.margin)
        with atomic_path(target) as temporary:
            picture.crop(box).save(temporary, "PNG")
        return {"faces": len(faces), "box": list(box)}


def crop_box(face: NDArray, size: tuple[int, int], margin: float) -> tuple[int, int, int, int]:
    """A square about a face, moved into the picture of `size` (width, height), and no larger than its shorter side."""
    left, top, right, bottom = face[:4].tolist()
    side = min(round((1 + margin) * max(right - left, bottom - top)), *size)
    corner = [
        min(max(round((low + high - side) / 2), 0), length - side)
        for low, high, length in ((left, right, size[0]), (top, bottom, size[1]))
    ]
    return corner[0], corner[1], corner[0] + side, corner[1] + side


def _weights_folder(weights: str | None) -> tuple[Path | None, str]:
    """The folder of the networks, or None and what is missing."""
    try:
        folder = local_path(_PACKAGED if weights is None else weights)
    except MissingWeightsError as error:
        return None, error.finding
    if folder is None:
        return None, f"{weights}: no such folder"
    missing = [name for name in FILES if not (folder / name).is_file()]
    return (None, f"{folder} has no {', '.join(missing)}") if missing else (folder, "")
