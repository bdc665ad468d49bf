"""The network that a file of a classifier of characters holds, whoever has written it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hallmark.checks import SettingError, UserError, setting
from hallmark.learning.encoders.base import ImageEncoder
from hallmark.learning.encoders.stored import CLASS
from hallmark.learning.encoders.timm_image import TimmImageEncoder
from hallmark.learning.encoders.weights import load_exactly, safe_load
from hallmark.storage.files import atomic_path
from hallmark.systems.characters.module import CLASSIFIER, encoder_of

_PREFIX = "encoders.image."
_BEFORE = (f"{_PREFIX}model.", "module.", "model.", "")  # names of tensors in timm's layout begin with one of these
_HEADS = ("classifier.", "fc.", "head.")


class ClassifierFile:
    """The encoder of a classifier, frozen, and the classes that it answers.

    Args:
        path: the folder of a run of `characters_classifier`, its checkpoint, what `write` has written, or a plain state
            dict of a timm model, at the top of the file or below `state_dict`.
        architecture: timm's name of the model of a plain state dict, which does not say it: networks that pad
            differently have tensors of the same names and shapes.
        classes: of a plain state dict; None for those in the file beside it, `<file>.classes.txt` with a name a line or
            `<file>.classes.json` with a list or a mapping from names to indices, and none where there is no such file.

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
            return
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
        self.classes = list(classes) if classes is not None else _classes_beside(file)
        if self.classes and n_classes is not None and n_classes != len(self.classes):
            raise UserError(f"{file}: it answers {n_classes} classes, and {len(self.classes)} names are given")
        self._saved = {
            CLASSIFIER: {"encoder": {CLASS: TimmImageEncoder.__name__, **arguments}, "classes": self.classes},
            "state_dict": {f"{_PREFIX}model.{name}": tensor for name, tensor in state.items()},
        }

    def write(self, path: Path) -> None:
        """Write what this class takes again as `path`, whole or not at all."""
        with atomic_path(path) as temporary:
            torch.save(self._saved, temporary)


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


def _classes_beside(file: Path) -> list[str]:
    """The names in the file beside `file`; none where there is no such file.

    Raises:
        UserError: it cannot be read.
    """
    text, listed = (file.with_name(f"{file.name}.classes{suffix}") for suffix in (".txt", ".json"))
    try:
        if text.is_file():
            return [line.strip() for line in text.read_text("utf-8").splitlines() if line.strip()]
        if not listed.is_file():
            return []
        names = json.loads(listed.read_text("utf-8"))
        return [str(name) for name in (sorted(names, key=names.__getitem__) if isinstance(names, dict) else names)]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{file}: the list of classes beside it cannot be read ({error})") from error
