"""Pictures of what a model makes, drawn while it is fitted."""

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import FSDPStrategy
from lightning.pytorch.utilities.seed import isolate_rng

from hallmark.checks import require
from hallmark.learning.evaluating import evaluating
from hallmark.learning.module import TrainableModule
from hallmark.storage.files import atomic_path
from hallmark.storage.seeds import fold_in

_SEED = 32  # what seeds are for
_SIDE = 512  # pixels; smaller pictures are enlarged by a whole factor


class EpochPictures(Callback):
    """Writes what `TrainableModule.epoch_figures` gives as `<name>_<epoch>.png`, after every n-th epoch from the first.

    Rank zero draws, in evaluation mode and from seeds that are of the run's seed and the epoch alone; every random
    number of the training is what it would be without. Under FSDP, where no process has the whole model, none is drawn.

    Args:
        every: n, at least 1. It changes no result, and so no run id.
    """

    def __init__(self, every: int) -> None:
        require(every >= 1, "every", every, "at least 1")
        self.every = every
        self._run: tuple[list[Path], int] | None = None

    def attach_run(self, folder: Path, seed: int, *, copies: Path | None = None) -> None:
        """Draw into `folder`, and into `copies` as well, for a run of this seed; before that nothing is drawn."""
        self._run = [folder, *([] if copies is None else [copies])], seed

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        epoch = trainer.current_epoch
        skipped = epoch % self.every or not trainer.is_global_zero or isinstance(trainer.strategy, FSDPStrategy)
        if self._run is None or skipped or not isinstance(module, TrainableModule):
            return
        folders, seed = self._run
        with evaluating(module), torch.no_grad(), isolate_rng():
            drawn_from = fold_in(_SEED, seed, epoch)
            torch.manual_seed(drawn_from)
            np.random.seed(drawn_from % 2**32)
            random.seed(drawn_from)
            figures = module.epoch_figures(epoch)
            for name, figure in figures.items():
                path, *copies = [folder / f"{name}_{epoch}.png" for folder in folders]
                for written in (path, *copies):
                    write_picture(written, name, figure)
                # The step of the epoch's metrics, as Lightning counts.
                step = trainer.fit_loop.epoch_loop._batches_that_stepped - 1
                for logger in trainer.loggers:
                    if hasattr(logger, "log_image"):
                        logger.log_image(f"epochs/{name}", [str(path)], step=step)


def write_figures(module: TrainableModule, folder: Path) -> None:
    """Write what `TrainableModule.figures` gives as `<name>.png` into `folder`."""
    with evaluating(module), torch.no_grad():
        for name, figure in module.figures().items():
            write_picture(folder / f"{name}.png", name, figure)


def write_picture(path: Path, name: str, figure: Any) -> None:
    """Write a matplotlib figure, or an array [H, W] or [H, W, 3] of bytes, or of floats from 0 to 1."""
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise ValueError(f"picture {name!r}: a name is of lower-case letters, digits and _")
    if hasattr(figure, "savefig"):
        with atomic_path(path) as temporary:
            figure.savefig(temporary)
        return
    from PIL import Image

    pixels = np.asarray(figure)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3) or not pixels.size:
        raise ValueError(f"picture {name} has the shape {pixels.shape}: give [H, W] or [H, W, 3], or a figure")
    if np.issubdtype(pixels.dtype, np.integer):
        if pixels.min() < 0 or pixels.max() > 255:
            raise ValueError(f"picture {name} holds {pixels.min()} to {pixels.max()}: integers are from 0 to 255")
        pixels = pixels.astype(np.uint8)
    else:
        pixels = np.round(255 * np.clip(np.nan_to_num(pixels.astype(np.float64)), 0, 1)).astype(np.uint8)
    factor = max(1, _SIDE // max(pixels.shape[:2]))
    image = Image.fromarray(pixels.repeat(factor, axis=0).repeat(factor, axis=1))
    with atomic_path(path) as temporary:
        image.save(temporary, "PNG")


def tiled(images: Any, n_columns: int) -> np.ndarray[Any, Any]:
    """Images [N, C, H, W] (arrays or tensors, C of 1 or 3) side by side in rows of `n_columns`, a white pixel between.

    Returns:
        Floats [H', W', 3], the images clipped to 0 .. 1.

    Raises:
        ValueError: no images, or no column for them.
    """
    if n_columns < 1 or not len(images):
        raise ValueError(f"tiled: {len(images)} images in {n_columns} columns; both are at least 1")
    parts = torch.as_tensor(images).detach().float().cpu().clamp(0, 1).numpy()
    n, _, height, width = parts.shape
    n_rows = -(-n // n_columns)
    sheet = np.ones((n_rows * (height + 1) - 1, min(n, n_columns) * (width + 1) - 1, 3))
    for number, part in enumerate(parts):
        top, left = (height + 1) * (number // n_columns), (width + 1) * (number % n_columns)
        sheet[top : top + height, left : left + width] = np.broadcast_to(part.transpose(1, 2, 0), (height, width, 3))
    return sheet
