"""Characters that are learned from a few pictures, without a fit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hallmark.checks import UserError, require
from hallmark.features.store import weights_digest
from hallmark.storage.vectors import AppearedError, Changes, Content, VectorDatabase, Version
from hallmark.systems.characters.answers import Added, Recognition
from hallmark.systems.characters.discriminant import Discriminant
from hallmark.systems.characters.learner import Learner, grouped
from hallmark.systems.characters.methods import DEFAULTS, checked_settings, new_learner
from hallmark.systems.characters.model_file import ClassifierFile
from hallmark.systems.characters.pictures import Picture, embeddings, picture_list, picture_name, read_pictures
from hallmark.systems.characters.roles import (
    THRESHOLD,
    Roles,
    mark_threshold,
    require_new,
    require_role,
    role_name,
)
from hallmark.systems.characters.unknown import unknown_threshold

SETTINGS = ("method", *DEFAULTS, "false_accept_rate")
"""What stands in a database of how it answers."""

_COVARIANCE = "covariance"  # of the state of a database: the version whose covariance stays
_NEAREST = 3  # pictures that are shown as the reason of an answer
_NEAREST_ROLES = 10  # roles whose pictures these may be of


class OnlineLearningSystem(Roles):
    """Recognizes roles by pictures of them, and learns a new one at once.

    >>> system = OnlineLearningSystem("outputs/characters_classifier/<id>", "roles.db")
    >>> system.add_new_role("Emi", ["emi/1.jpg", "emi/2.jpg"])
    >>> system.recognize("who.jpg").name

    Pictures are embedded by a frozen encoder and told apart by one of four methods. Each change is one transaction:
    where a picture cannot be read, is there already, or the process is killed, nothing changes. The logits of the roles
    that a change does not touch stay bit for bit the same with `ncm`, and with `cosine` and `lda` where
    `update_covariance` is false; else they move a little, because all share one covariance, or one regression.

    Args:
        model_path: folder of a run of `characters_classifier`, its checkpoint, a file of `save_model`, or a plain state
            dict (`ClassifierFile`).
        feature_db_path: the database of embeddings, made by the first role where there is none.
        method: `lda`, a linear discriminant with shrinkage (`Discriminant`); `cosine`, the cosine to the means in its
            metric (`CosineDiscriminant`), the best for roles of few pictures; `ncm`, the nearest class mean by cosine
            (`NearestMean`); or `ranpac`, a ridge regression on random features (`RandomProjection`).
        shrinkage: of the covariance within roles, in [1e-6, 1]; of `cosine` and `lda`.
        update_covariance: false to keep the covariance of the first pictures until `refit_covariance`; likewise.
        features: random features, at most 20,000; of `ranpac`.
        false_accept_rate: share of pictures of unknown people that may be taken for somebody, as leaving out each role
            in turn tells. Settings stand in the database once it is made.
        architecture: of a plain state dict, timm's name; `classes`: whom it answers, None for the list beside it.

    Raises:
        SettingError: no such model, a value out of range, or a setting of another method.
        UserError: a damaged model or database, or a database that another model or other settings have made.
    """

    def __init__(
        self, model_path: str | Path, feature_db_path: str | Path, *, method: str = "cosine",
        shrinkage: float = DEFAULTS["shrinkage"], update_covariance: bool = DEFAULTS["update_covariance"],
        features: int = DEFAULTS["features"], false_accept_rate: float = 0.05,
        architecture: str | None = None, classes: Sequence[str] | None = None,
    ) -> None:  # fmt: skip
        require(0 <= false_accept_rate < 1, "false_accept_rate", false_accept_rate, "a share in [0, 1)")
        all_settings = {"shrinkage": shrinkage, "update_covariance": update_covariance, "features": features}
        settings = checked_settings(method, all_settings)
        self._model = ClassifierFile(model_path, architecture=architecture, classes=classes)
        self.encoder = self._model.encoder
        about = {
            "encoder": weights_digest(self.encoder), "preprocessing": self.encoder.preprocessing, "method": method,
            **settings, "false_accept_rate": false_accept_rate,
        }  # fmt: skip
        path = Path(feature_db_path).expanduser()
        super().__init__(VectorDatabase(path, about=about, dimension=self.encoder.embedding_dim))
        self.false_accept_rate, self._keeps_covariance = false_accept_rate, not update_covariance
        self._method, self._settings = method, settings
        self._learned: _Learned | None = None
        self._threshold: tuple[Any, float | None] = None, None

    def add_new_role(self, name: str, images: Sequence[Picture]) -> Added:
        """Learn the role `name` from its pictures.

        Raises:
            UserError: there is such a role, no picture, one that cannot be read or that the database has.
        """
        return self._add(name, images, is_new=True)

    def update(self, name: str, images: Sequence[Picture]) -> Added:
        """Add pictures to the role `name`.

        Raises:
            UserError: there is no such role; or as `add_new_role`.
        """
        return self._add(name, images, is_new=False)

    def recognize(self, image: Picture) -> Recognition:
        """Who is in a picture.

        Raises:
            UserError: a picture that cannot be read, or a database without roles.
        """
        vector = self._embedded(image)
        learned = self._current()
        logits = learned.learner.logits(vector)
        names, scores = learned.learner.classes, logits[0]
        order = np.argsort(-scores, kind="stable")[:_NEAREST_ROLES]
        ranked = [(names[index], float(scores[index])) for index in order]
        score, threshold = float(learned.learner.known(vector, logits)[0]), self._current_threshold(learned)
        is_known = threshold is None or score >= threshold
        samples = self.database.samples([name for name, _ in ranked])
        rows = np.array([sample.vector for sample in samples]).reshape(-1, vector.shape[1])
        cosines = rows @ vector[0] / np.linalg.norm(rows, axis=1) / np.linalg.norm(vector)
        nearest = [
            (samples[row].label, samples[row].content, float(cosines[row]))
            for row in np.argsort(-cosines, kind="stable")[:_NEAREST]
        ]
        return Recognition(
            ranked[0][0] if is_known else None, score, threshold, ranked[0], ranked[1] if len(ranked) > 1 else None,
            nearest,
        )  # fmt: skip

    def logits(self, image: Picture) -> dict[str, float]:
        """The logit of each role, by name; raises as `recognize`."""
        vector = self._embedded(image)
        learner = self._current().learner
        return dict(sorted(zip(learner.classes, learner.logits(vector)[0].tolist(), strict=True)))

    def refit_covariance(self) -> Version:
        """Take the covariance of all pictures that there are now; for `update_covariance=False`.

        Raises:
            UserError: a database that keeps no covariance, or none of whose roles has two pictures.
        """
        if not self._keeps_covariance:
            has_covariance = "update_covariance" in self._settings
            why = "its covariance is always that of all pictures" if has_covariance else "its method has no covariance"
            raise UserError(f"{self.database.path}: {why} ({self._method})")
        with self.database.change("covariance of all pictures") as change:
            if change.n_samples <= change.n_classes:
                raise UserError(f"{self.database.path}: no covariance while no role has two pictures")
            change.state = {**change.state, _COVARIANCE: change.number}
        assert change.version is not None
        return change.version

    def save_model(self, path: str | Path) -> Path:
        """Write the encoder to a file that this class takes as `model_path`; gives its path.

        Raises:
            SettingError: the database, a folder, or another file that this has not written.
        """
        file = Path(path).expanduser()
        require(file.resolve() != self.database.path.resolve(), "path", str(path), "another file than the database")
        self._model.write(file)
        return file

    def _add(self, name: str, images: Sequence[Picture], *, is_new: bool) -> Added:
        name, images = role_name(name), picture_list(images)
        contents, pictures = read_pictures(images)
        vectors = embeddings(self.encoder, pictures)
        warnings = self._looks_like_others(name, vectors, images)
        try:
            version = self._written(name, images, contents, vectors, is_new=is_new)
        except AppearedError:  # two processes have added the first role of a database at once
            version = self._written(name, images, contents, vectors, is_new=is_new)
        self._current().learner.logits(vectors[:1])  # so that the next picture does not wait for what is computed once
        return Added(version, warnings)

    def _written(
        self, name: str, images: Sequence[Picture], contents: Sequence[str], vectors: NDArray, *, is_new: bool
    ) -> Version:
        # What another process may have changed meanwhile is looked at within the transaction.
        with self.database.change(f"{'added' if is_new else 'updated'} {name}") as change:
            (require_new if is_new else require_role)(name, change)
            for position, (image, content) in enumerate(zip(images, contents, strict=True)):
                if (known := change.label_of(content)) is not None:
                    raise UserError(f"{picture_name(image)}: the database has this picture already, as {known}")
                if (first := contents.index(content)) < position:
                    both = f"{picture_name(images[first])} and {picture_name(image)}"
                    raise UserError(f"{both}: the same picture is given twice")
            change.add(name, vectors, contents)
            mark_threshold(change)
            has_two = len(images) > 1 or not is_new
            if self._keeps_covariance and has_two and _COVARIANCE not in change.state:
                change.state = {**change.state, _COVARIANCE: change.number}
        assert change.version is not None
        return change.version

    def _looks_like_others(self, name: str, vectors: NDArray, images: Sequence[Any]) -> list[str]:
        learned = self._current()
        if (threshold := self._current_threshold(learned)) is None:
            return []
        logits = learned.learner.logits(vectors)
        answers = [learned.learner.classes[index] for index in logits.argmax(axis=1)]
        return [
            f"{picture_name(image)} looks like {answer}"
            for image, answer, score in zip(images, answers, learned.learner.known(vectors, logits), strict=True)
            if score >= threshold and answer != name
        ]

    def _embedded(self, image: Picture) -> NDArray[np.float32]:
        """[1, D]"""
        _, pictures = read_pictures([image])
        if not self.database.head.samples:
            raise UserError(f"{self.database.path}: no roles; add_new_role adds one")
        return embeddings(self.encoder, pictures)

    def _current(self) -> "_Learned":
        """What is learned of the newest version, which another process may have made."""
        learned = self._learned
        changes = self.database.changes(learned.version) if learned else None
        if learned is None or changes is None or changes.state.get(_COVARIANCE) != learned.state.get(_COVARIANCE):
            learned = self._loaded()
        else:
            learned = _Learned(changes.version, changes.state, _follow(learned.learner, changes))
        self._learned = learned
        return learned

    def _loaded(self) -> "_Learned":
        content = self.database.read()
        return _Learned(content.version, content.state, self._fitted(content, content.state))

    def _fitted(self, content: Content, state: Mapping[str, Any]) -> Learner:
        """What is learned of `content`, with the covariance that `state` keeps."""
        frozen_at = state.get(_COVARIANCE)
        base = content if frozen_at is None else self.database.read(frozen_at)
        learner = new_learner(self._method, self.database.dimension, self._settings)
        _learn(learner.add, base)
        if frozen_at is not None:
            assert isinstance(learner, Discriminant)
            learner.freeze_covariance()
            _learn(learner.add, content, without=base)
            _learn(learner.remove, base, without=content)
        return learner

    def _current_threshold(self, learned: "_Learned") -> float | None:
        """Of the version that `mark_threshold` has chosen, which is seldom another one in a large database."""
        marked = learned.state.get(THRESHOLD)
        if marked is None or len(learned.learner.classes) < 3:
            return None
        key = (marked["version"], learned.state.get(_COVARIANCE))
        if self._threshold[0] != key:
            content = self.database.read(marked["version"])
            is_newest = content.version.digest == learned.version.digest
            learner = learned.learner if is_newest else self._fitted(content, learned.state)
            threshold = unknown_threshold(
                learner, content.vectors, content.labels, false_accept_rate=self.false_accept_rate
            )
            self._threshold = key, threshold
        return self._threshold[1]


@dataclass(frozen=True)
class _Learned:
    """What is learned of a version that has this state."""

    version: Version
    state: dict[str, Any]
    learner: Learner


def _follow(learner: Learner, changes: Changes) -> Learner:
    for samples, act in ((changes.added, learner.add), (changes.removed, learner.remove)):
        for label, of_label in groupby(samples, key=lambda sample: sample.label):
            act(label, np.stack([sample.vector for sample in of_label]))
    return learner


def _learn(act: Callable[[str, NDArray], object], content: Content, *, without: Content | None = None) -> None:
    """Add or remove the samples of `content` class by class, but for those that `without` has in the same class."""
    known = set(zip(without.labels, without.contents, strict=True)) if without else set()
    samples = zip(content.labels, content.contents, strict=True)
    rows = [row for row, sample in enumerate(samples) if sample not in known]
    for label, of_label in grouped(content.vectors[rows], [content.labels[row] for row in rows]):
        act(label, of_label)
