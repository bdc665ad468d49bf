"""Characters that are learned from a few pictures, without a fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from hallmark.checks import SettingError, UserError, require
from hallmark.data.images import UnreadableImageError, read_image
from hallmark.features.store import weights_digest
from hallmark.learning.encoders.base import ImageEncoder
from hallmark.learning.encoders.weights import safe_load
from hallmark.storage.files import atomic_path
from hallmark.storage.hashing import digest_bytes
from hallmark.storage.printing import shortened
from hallmark.storage.regular import UnreadableFileError, read_regular
from hallmark.storage.vectors import Content, VectorDatabase, Version
from hallmark.systems.characters.discriminant import Discriminant, unknown_threshold
from hallmark.systems.characters.module import CLASSIFIER, encoder_of
from hallmark.systems.characters.roles import Roles, check_role_name, require_new, require_role

_NEAREST = 3  # pictures that are shown as the reason of an answer
_AT_ONCE = 32  # pictures that are embedded together


@dataclass(frozen=True)
class Recognition:
    """Who is in a picture.

    Attributes:
        name: the role, or None: nobody whom the database has.
        score: how much the picture looks like one of the roles (`Discriminant.known`); below `threshold` it is unknown.
        threshold: None while there are fewer than three roles; the best one is then always the answer.
        best, runner_up: the two roles whose logits are highest, with these; `runner_up` is None for one role alone.
        nearest: of the pictures of the database the nearest by cosine: (role, hash of its content, cosine).
    """

    name: str | None
    score: float
    threshold: float | None
    best: tuple[str, float]
    runner_up: tuple[str, float] | None
    nearest: list[tuple[str, str, float]]


@dataclass(frozen=True)
class Added:
    """What added pictures have made.

    Attributes:
        version: of the database, to which `OnlineLearningSystem.revert` goes back.
        warnings: sentences on pictures that look like another role.
    """

    version: Version
    warnings: list[str]


class OnlineLearningSystem(Roles):
    """Recognizes roles by pictures of them, and learns a new one at once.

    >>> system = OnlineLearningSystem("outputs/characters_classifier/<id>", "roles.db")
    >>> system.add_new_role("Emi", ["emi/1.jpg", "emi/2.jpg"])
    >>> system.recognize("who.jpg").name

    Pictures are embedded by a frozen encoder and told apart by a linear discriminant of all of them (`Discriminant`).
    Each change is one transaction: where a picture cannot be read, is there already, or the process is killed, nothing
    changes. Scores of earlier roles move a little with each change, because all share one covariance.

    Args:
        model_path: folder of a run of `characters_classifier`, its checkpoint, or a file of `save_model`.
        feature_db_path: the database of embeddings, made where there is none.
        shrinkage: of the covariance within roles, in (0, 1].
        false_accept_rate: share of pictures of unknown people that may be taken for somebody, as leaving out each role
            in turn tells. This and the shrinkage stand in the database once it is made.

    Raises:
        SettingError: no such model, or a value out of range.
        UserError: a damaged model or database, or a database that another model or other settings have made.
    """

    def __init__(
        self, model_path: str | Path, feature_db_path: str | Path, *, shrinkage: float = 0.5,
        false_accept_rate: float = 0.05,
    ) -> None:  # fmt: skip
        require(0 < shrinkage <= 1, "shrinkage", shrinkage, "in (0, 1]")
        require(0 <= false_accept_rate < 1, "false_accept_rate", false_accept_rate, "a share in [0, 1)")
        self.shrinkage, self.false_accept_rate = shrinkage, false_accept_rate
        file = Path(model_path).expanduser()
        file = file / "checkpoints" / "best.ckpt" if file.is_dir() else file
        if not file.is_file():
            raise SettingError("model_path", str(model_path), "the folder of a finished run, or a checkpoint")
        self._saved = safe_load(file)
        self.encoder: ImageEncoder = encoder_of(self._saved)
        about = {
            "encoder": weights_digest(self.encoder), "preprocessing": self.encoder.preprocessing,
            "shrinkage": shrinkage, "false_accept_rate": false_accept_rate,
        }  # fmt: skip
        path = Path(feature_db_path).expanduser()
        if path.exists():
            super().__init__(VectorDatabase(path, about=about))
        else:
            super().__init__(VectorDatabase.create(path, dimension=self.encoder.embedding_dim, about=about))
        self._fitted: _Fitted | None = None

    def add_new_role(self, name: str, images: Sequence[str | Path | Image.Image]) -> Added:
        """Learn the role `name` from its pictures.

        Raises:
            UserError: there is such a role, no picture, one that cannot be read or that the database has.
        """
        return self._add(name, images, is_new=True)

    def update(self, name: str, images: Sequence[str | Path | Image.Image]) -> Added:
        """Add pictures to the role `name`.

        Raises:
            UserError: there is no such role; or as `add_new_role`.
        """
        return self._add(name, images, is_new=False)

    def recognize(self, image: str | Path | Image.Image) -> Recognition:
        """Who is in a picture.

        Raises:
            UserError: a picture that cannot be read, or a database without roles.
        """
        _, (picture,) = _read([image])
        fitted = self._current()
        if not fitted.content.labels:
            raise UserError(f"{self.database.path}: no roles; add_new_role adds one")
        vector = self._embed([picture])
        logits = fitted.discriminant.logits(vector)[0]
        order = np.argsort(-logits, kind="stable")
        ranked = [(fitted.discriminant.classes[number], float(logits[number])) for number in order[:2]]
        score = float(fitted.discriminant.known(vector)[0])
        is_known = fitted.threshold is None or score >= fitted.threshold
        cosines = fitted.unit_vectors @ (vector[0] / np.linalg.norm(vector[0]))
        nearest = [
            (fitted.content.labels[row], fitted.content.contents[row], float(cosines[row]))
            for row in np.argsort(-cosines, kind="stable")[:_NEAREST]
        ]
        return Recognition(
            ranked[0][0] if is_known else None, score, fitted.threshold, ranked[0],
            ranked[1] if len(ranked) > 1 else None, nearest,
        )  # fmt: skip

    def save_model(self, path: str | Path) -> Path:
        """Write the encoder to a file that this class takes as `model_path`; gives its path."""
        file = Path(path).expanduser()
        with atomic_path(file) as temporary:
            torch.save({name: self._saved[name] for name in (CLASSIFIER, "state_dict")}, temporary)
        return file

    def _add(self, name: str, images: Sequence[str | Path | Image.Image], *, is_new: bool) -> Added:
        check_role_name(name)
        require(not isinstance(images, str | Path) and len(images) > 0, "images", images, "a list of pictures")
        contents, pictures = _read(images)
        vectors = self._embed(pictures)
        warnings = self._looks_like_others(name, vectors, images)
        # What another process may have changed meanwhile is looked at within the transaction.
        with self.database.change(f"{'added' if is_new else 'updated'} {name}") as change:
            if is_new:
                require_new(name, change.content)
            else:
                require_role(name, change.content)
            known = dict(zip(change.content.contents, change.content.labels, strict=True))
            for position, (image, content) in enumerate(zip(images, contents, strict=True)):
                if content in known:
                    raise UserError(f"{_shown(image)}: the database has this picture already, as {known[content]}")
                if content in contents[:position]:
                    raise UserError(f"{_shown(image)}: the same picture is given twice")
            change.add(name, vectors, contents)
        assert change.version is not None
        return Added(change.version, warnings)

    def _looks_like_others(self, name: str, vectors: NDArray, images: Sequence[Any]) -> list[str]:
        fitted = self._current()
        if not fitted.content.labels:
            return []
        answers = [fitted.discriminant.classes[number] for number in fitted.discriminant.logits(vectors).argmax(axis=1)]
        is_known = [
            fitted.threshold is not None and score >= fitted.threshold for score in fitted.discriminant.known(vectors)
        ]
        return [
            f"{_shown(image)} looks like {answer}"
            for image, answer, known in zip(images, answers, is_known, strict=True)
            if known and answer != name
        ]

    def _embed(self, pictures: Sequence[Image.Image]) -> NDArray[np.float32]:
        """[N, D]"""
        pixels = [torch.from_numpy(np.array(self.encoder.transform(picture))) for picture in pictures]
        with torch.inference_mode():
            parts = [
                self.encoder(torch.stack(pixels[start : start + _AT_ONCE])).float().cpu().numpy()
                for start in range(0, len(pixels), _AT_ONCE)
            ]
        return np.concatenate(parts)

    def _current(self) -> "_Fitted":
        """What is computed of the newest version, which another process may have made."""
        if self._fitted is None or self._fitted.content.version != self.database.head:
            self._fitted = _Fitted(self.database.read(), self.shrinkage, self.false_accept_rate)
        return self._fitted


@dataclass(frozen=True)
class _Fitted:
    """What is computed of a version when it is first asked for."""

    content: Content
    shrinkage: float
    false_accept_rate: float

    @cached_property
    def discriminant(self) -> Discriminant:
        return Discriminant.fit(self.content.vectors, self.content.labels, shrinkage=self.shrinkage)

    @cached_property
    def threshold(self) -> float | None:
        return unknown_threshold(
            self.content.vectors, self.content.labels, shrinkage=self.shrinkage,
            false_accept_rate=self.false_accept_rate,
        )  # fmt: skip

    @cached_property
    def unit_vectors(self) -> NDArray[np.float32]:
        """[N, D], of length 1."""
        vectors = self.content.vectors
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _read(images: Sequence[str | Path | Image.Image]) -> tuple[list[str], list[Image.Image]]:
    """Hashes of the content of each picture, and the pictures.

    Raises:
        UserError: those that cannot be read, all of them by name.
    """
    contents, pictures, problems = [], [], []
    for image in images:
        if isinstance(image, Image.Image):
            picture = image.convert("RGB")
            contents.append(digest_bytes(repr(picture.size).encode(), picture.tobytes()))
            pictures.append(picture)
            continue
        path = Path(image).expanduser()
        try:
            content = read_regular(path)
            pictures.append(read_image(content, name=str(path)))
            contents.append(digest_bytes(content))
        except (UnreadableFileError, UnreadableImageError) as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(["nothing was changed, because of", *(f"  {problem}" for problem in problems)]))
    return contents, pictures


def _shown(image: str | Path | Image.Image) -> str:
    return f"a picture of {image.width}×{image.height}" if isinstance(image, Image.Image) else shortened(str(image))
