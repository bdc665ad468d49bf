"""What models read of the rows of a split: pixels, tokens, embeddings or texts, a batch at a time."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from hallmark.data.images import PixelTransform, decoded_images
from hallmark.data.sampling import SampleIndex, Transform
from hallmark.storage.arrays import Rows

_GRAY = 128


class Pixels:
    """Decoded pictures of a split; gray where a picture could not be read.

    Args:
        decoded: uint8 [R, 3, S, S] of the readable ones; rows: int [N], the row in it of each picture, −1 for none.
        size: S.
    """

    def __init__(self, decoded: Rows, rows: NDArray, size: int) -> None:
        self._decoded, self._rows, self._size = decoded, rows, size

    @classmethod
    def of_files(
        cls, paths: Sequence[str], digests: Sequence[str], *, readable: NDArray, transform: PixelTransform, size: int,
        cache: Path,
    ) -> "Pixels":  # fmt: skip
        """Pixels that `transform` makes of image files.

        Args:
            digests: of the files' content, by which decoded pixels are stored under `cache`.
            readable: bool [N]; the other files are not opened.
        """
        positions = np.flatnonzero(readable).tolist()
        files = [Path(paths[position]) for position in positions]
        decoded = decoded_images(files, [digests[position] for position in positions], transform, cache)
        rows = np.full(len(paths), -1)
        rows[positions] = np.arange(len(positions))
        return cls(decoded, rows, size)

    def take(self, positions: Sequence[int]) -> Tensor:
        """uint8 [len(positions), 3, S, S]."""
        gray = np.full((3, self._size, self._size), _GRAY, np.uint8)
        rows = self._rows[list(positions)]
        return torch.from_numpy(np.stack([self._decoded[row] if row >= 0 else gray for row in rows]))


Input = Pixels | Tensor | dict[str, Tensor] | list[str]


class InputRows(Dataset):
    """One split, read a batch at a time.

    Args:
        target: int64 [N], −1 where unlabelled.
        inputs: by name: pixels, token tensors [N, L], embeddings [N, D] or raw texts.
        transform: applied to pixels with the seed of the row.
        present: bool [N], whether a row has an input, by the input's name; those that are not named are in all rows.
    """

    def __init__(
        self, *, target: Tensor, inputs: Mapping[str, Input], transform: Transform | None,
        present: Mapping[str, Tensor] | None = None,
    ) -> None:  # fmt: skip
        self.target, self.inputs, self.transform = target, inputs, transform
        self.present = {name: rows for name, rows in (present or {}).items() if name in inputs}

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, draw: SampleIndex) -> dict[str, Any]:
        return self.__getitems__([draw])

    def __getitems__(self, draws: Sequence[SampleIndex]) -> dict[str, Any]:
        """`index`, `target` and, for each input, its rows under its name, or `<name>_features` for embeddings, and
        `<name>_present` where rows may lack it."""
        index = torch.tensor([draw.position for draw in draws])
        batch: dict[str, Any] = {"index": index, "target": self.target[index]}
        batch |= {f"{name}_present": rows[index] for name, rows in self.present.items()}
        for name, source in self.inputs.items():
            if isinstance(source, Pixels):
                pixels = source.take(index.tolist())
                if self.transform is not None:
                    changed = [self.transform(image, draw.seed) for image, draw in zip(pixels, draws, strict=True)]
                    pixels = torch.stack(changed)
                batch[name] = pixels
            elif isinstance(source, Tensor):
                batch[f"{name}_features"] = source[index]
            elif isinstance(source, dict):
                batch[name] = {key: tokens[index] for key, tokens in source.items()}
            else:
                batch[name] = [source[position] for position in index.tolist()]
        return batch
