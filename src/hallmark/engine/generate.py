"""Pictures of a finished run that draws some."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from hallmark.checks import SettingError
from hallmark.engine.config.stored import refuse_links
from hallmark.engine.config.trust import Trust
from hallmark.engine.job import Job
from hallmark.engine.parents import initial_module
from hallmark.engine.predict import load_weights
from hallmark.engine.setup import silence_expected_warnings
from hallmark.learning.callbacks.pictures import tiled
from hallmark.learning.device import chosen_device
from hallmark.learning.generation import PictureGenerator, class_number
from hallmark.runs.run import Run
from hallmark.storage.files import atomic_path
from hallmark.storage.seeds import fold_in_many

_DRAWN = 34  # what seeds are for
_BATCH, _COLUMNS = 64, 8
_NAME = 40  # characters of a class in the name of a file


def generated_pictures(run: Run, target_class: str | None, *, n: int, seed: int, trust: Trust) -> dict[str, bytes]:
    """PNG files by name: `n` pictures of each class that is asked for, and all of them on one sheet.

    No data is read. The i-th picture of a class depends on the weights, the class, `seed` and i alone.

    Args:
        target_class: name or number of a class; None for all that the run draws.

    Raises:
        SettingError: a run that draws no pictures, or none of that class.
        ValueError: weights or a configuration that cannot be read.
    """
    silence_expected_warnings()
    refuse_links(run.directory, trust)
    module = initial_module(Job.reopened(run, trust))
    if not isinstance(module, PictureGenerator):
        raise SettingError(
            "RUN", str(run.directory), f"a model that draws pictures; {type(module).__name__} draws none"
        )
    numbers = list(module.drawn_classes)
    if target_class is not None:
        number = class_number(target_class, module.classes)
        if number not in numbers:
            drawn = ", ".join(module.classes[each] for each in numbers)
            raise SettingError("target_class", target_class, f"what this run was trained to draw: {drawn}")
        numbers = [number]
    load_weights(module, run.best)
    module.eval().to(chosen_device())
    files: dict[str, bytes] = {}
    parts = []
    for number in numbers:
        pictures = _drawn(module, number, n=n, seed=seed)
        name = re.sub(r"[^\w.-]+", "_", module.classes[number])[:_NAME]
        for position, picture in enumerate(pictures):
            files[f"{number}_{name}_{position:04}.png"] = _png(picture.transpose(1, 2, 0))
        parts.append(pictures)
    columns = n if len(numbers) > 1 else min(n, _COLUMNS)
    files["sheet.png"] = _png(tiled(np.concatenate(parts), columns))
    return files


def _drawn(module: PictureGenerator, number: int, *, n: int, seed: int) -> NDArray[np.float32]:
    """`n` pictures [n, C, H, W] of one class."""
    index = torch.from_numpy(fold_in_many(_DRAWN, seed, count=n)).to(chosen_device())
    with torch.inference_mode():
        parts = [module.draw(torch.full_like(part, number), part).float().cpu().numpy() for part in index.split(_BATCH)]
    return np.concatenate(parts)


def _png(pixels: Any) -> bytes:
    """A PNG of floats [H, W, 1 or 3] from 0 to 1."""
    content = io.BytesIO()
    rounded = np.round(255 * np.clip(np.nan_to_num(pixels), 0, 1)).astype(np.uint8)
    Image.fromarray(rounded[..., 0] if rounded.shape[2] == 1 else rounded).save(content, "PNG")
    return content.getvalue()


def write_pictures(folder: Path, files: dict[str, bytes]) -> None:
    """Write the files into a folder; none of them where a name is taken.

    Raises:
        SettingError: one of these names is there already, with another content.
    """
    paths = {folder / name: content for name, content in files.items()}
    for path, content in paths.items():
        if path.is_symlink() or (path.exists() and not (path.is_file() and path.read_bytes() == content)):
            raise SettingError("--output", str(folder), f"a folder without {path.name}; that is another file")
    for path, content in paths.items():
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
