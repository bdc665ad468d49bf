"""The network that a file of a classifier of characters holds, whoever has written it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hallmark.checks import SettingError, UserError, require, setting
from hallmark.learning.encoders.base import ImageEncoder
from hallmark.learning.encoders.stored import CLASS
from hallmark.learning.encoders.timm_image import TimmImageEncoder
from hallmark.learning.encoders.weights import load_exactly, safe_load
from hallmark.storage.destinations import check_file
from hallmark.storage.files import atomic_path
from hallmark.storage.printing import shortened
from hallmark.storage.regular import stripped_name
from hallmark.systems.characters.module import CLASSIFIER, encoder_of

_PREFIX = "encoders.image."
_BEFORE = (f"{_PREFIX}model.", "module.", "model.", "")  # names of tensors in timm's layout begin with one of these
_LIGHTNING = "pytorch-lightning_version"  # in a checkpoint
_HEADS = ("classifier.", "fc.", "head.")


class ClassifierFile:
    """The encoder of a classifier, frozen, and the classes that it answers.

    Args:
        path: the folder of a run of `characters_classifier`, its checkpoint, what `write` has written, or a plain state
            dict of a timm model, at the top of the file or below `state_dict`.
        architecture: timm's name of the model of a plain state dict, which does not say it: networks that pad
            differently have tensors of the same names and shapes.
        classes: of a plain state dict; None for those in the file beside it, `<file>.classes.txt` with a name a line or
            `<file>.classes.json` with a list or a mapping between names and indices, and none where there is no such
            file.

    Raises:
        SettingError: no such file, or a plain state dict of which the architecture is not given.
        UserError: a damaged file, one that holds more than tensors and plain containers, or another architecture.
    """

    def __init__(
        self, path: str | Path, *, architecture: str | None = None, classes: Sequence[str] | None = None
    ) -> None:  # fmt: skip
        file = Path(path).expanduser()
        file = file / "checkpoints" / "best.ckpt" if file.is_dir() else file
        if not file.is_file():
            raise SettingError("model_path", str(path), "the folder of a finished run, or a file of weights")
        saved = safe_load(file)
        if isinstance(saved, Mapping) and CLASSIFIER in saved:
            for name, value in (("architecture", architecture), ("classes", classes)):
                if value is not None:
                    raise SettingError(name, value, f"nothing: {file} says it itself")
            self._saved = {name: saved.get(name) for name in (CLASSIFIER, "state_dict")}
            self.encoder: ImageEncoder = encoder_of(saved)
            self.classes = [str(name) for name in saved[CLASSIFIER].get("classes", [])]
            self._require_finite(file)
            return
        if isinstance(saved, Mapping) and _LIGHTNING in saved and (file.parents[1] / "record.json").is_file():
            raise SettingError("model_path", str(path), "a run of characters_classifier; this one is of another model")
        state, n_classes = _plain_state(saved, file)
        if architecture is None:
            raise SettingError("architecture", None, f"timm's name of the model whose state dict {file} is")
        arguments: dict[str, Any] = {
            "name": architecture, "weights": "random", "image_size": None, "crop_pct": None, "interpolation": None,
            "mean": None, "std": None, "frozen": False, "options": {},
        }  # fmt: skip
        with setting("architecture"):
            self.encoder = TimmImageEncoder(**arguments)
        load_exactly(self.encoder.model.load_state_dict, state, file)
        self.encoder.freeze()
        self._require_finite(file)
        if classes is None:
            self.classes, list_file = _classes_beside(file)
        else:
            self.classes, list_file = _given(classes), "classes"
        if self.classes and n_classes is not None and n_classes != len(self.classes):
            raise UserError(f"{list_file}: {len(self.classes)} names; {file} answers {n_classes} classes")
        self._saved = {
            CLASSIFIER: {"encoder": {CLASS: TimmImageEncoder.__name__, **arguments}, "classes": self.classes},
            "state_dict": {f"{_PREFIX}model.{name}": tensor for name, tensor in state.items()},
        }

    def write(self, path: Path) -> None:
        """Write what this class takes again as `path`, whole or not at all.

        Raises:
            SettingError: there is a folder, or a file that `write` has not written.
        """
        check_file("path", path)
        if path.exists():
            require(_is_written(path), "path", str(path), "a new file, or one that save_model has written")
        with atomic_path(path) as temporary:
            torch.save(self._saved, temporary)

    def _require_finite(self, file: Path) -> None:
        for name, tensor in self.encoder.state_dict().items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise UserError(f"{file}: damaged weights; {name} has values that are no finite numbers")


def _is_written(file: Path) -> bool:
    try:
        saved = safe_load(file)
    except (OSError, UserError):
        return False
    return isinstance(saved, Mapping) and set(saved) == {CLASSIFIER, "state_dict"}


def _plain_state(saved: Any, file: Path) -> tuple[dict[str, Tensor], int | None]:
    """The state dict without its classifier, in timm's names, and how many classes that answers."""
    state = saved.get("state_dict", saved) if isinstance(saved, Mapping) else None
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{file}: no classifier of characters and no state dict; expected tensors by name")
    before = next(prefix for prefix in _BEFORE if any(str(name).startswith(prefix) for name in state))
    named = {str(name).removeprefix(before): value for name, value in state.items() if str(name).startswith(before)}
    heads = {name: value for name, value in named.items() if name.startswith(_HEADS)}
    last = [value for name, value in heads.items() if name.endswith("weight") and value.ndim == 2]
    return {name: value for name, value in named.items() if name not in heads}, len(last[-1]) if last else None


def _given(classes: Sequence[str]) -> list[str]:
    try:
        return _names(list(classes) if isinstance(classes, list | tuple) else classes)
    except ValueError as error:
        raise SettingError("classes", classes, str(error)) from error


def _classes_beside(file: Path) -> tuple[list[str], str]:
    """The names in the file beside `file` and its path; none where there is no such file.

    Raises:
        UserError: it cannot be read, or is no list of names.
    """
    text, listed = (file.with_name(f"{file.name}.classes{suffix}") for suffix in (".txt", ".json"))
    beside = text if text.is_file() else listed
    if not beside.is_file():
        return [], str(beside)
    try:
        content = beside.read_text("utf-8-sig")
        if beside is text:
            lines = [line.strip() for line in content.splitlines()]
            return _names([line for line in lines if line]), str(beside)
        return _names(json.loads(content, object_pairs_hook=_mapping)), str(beside)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{beside}: the list of classes cannot be read: {error}") from error


def _names(listed: Any) -> list[str]:
    """Names of classes by index, of a list of them or a mapping between names and indices, whichever way round.

    Raises:
        ValueError: something else, indices that are not 0 to n − 1, or names that are empty or repeated.
    """
    names = listed
    if isinstance(listed, dict):
        by_index = {str(index): name for index, name in listed.items()}
        if not all(isinstance(name, str) for name in listed.values()):
            by_index = {repr(index): name for name, index in listed.items()}
        if set(by_index) != {str(index) for index in range(len(listed))}:
            raise ValueError(f"indices from 0 to {len(listed) - 1}, each once, or names by these")
        names = [by_index[str(index)] for index in range(len(listed))]
    if not isinstance(names, list) or not all(isinstance(name, str) and stripped_name(name) for name in names):
        raise ValueError("a list of names, or a mapping from names to indices")
    if repeated := [name for name, count in Counter(map(stripped_name, names)).items() if count > 1]:
        raise ValueError(f"names that are not repeated, as {shortened(repeated[0])} is")
    return names


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("each key once")
    return dict(pairs)
