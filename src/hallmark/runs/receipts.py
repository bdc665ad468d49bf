"""Where the receipts of looks at test splits lie, so that a copied or moved run still knows of them."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hallmark.runs.looks import Look, merged, read_looks

VARIABLE = "HALLMARK_SEALS"
FOLDER = "seals"  # in the outputs, where nothing else is set
COPY = "looks.json"  # in the directory of each run that was looked at


def absolute_folder(outputs: Path, seals: str | Path | None) -> Path:
    """The setting `paths.seals` as a folder that is the same from any working folder.

    A relative one is below `outputs` if it starts with it, and else in the folder that holds the outputs.
    """
    root = outputs.absolute()
    if seals is None:
        return root / FOLDER
    folder = Path(seals).expanduser()
    if folder.is_relative_to(outputs):
        return root / folder.relative_to(outputs)
    return folder if folder.is_absolute() else root.parent / folder


def outputs_of(directory: Path, name: str) -> Path:
    """The folder of outputs in which a run of experiment `name` lies, by its place alone."""
    levels = directory.resolve().parents
    return levels[min(len(Path(name).parts), len(levels) - 1)]


@dataclass(frozen=True)
class ReceiptFolders:
    """The folders that may hold receipts of a run's experiment.

    Attributes:
        written: seals folders into which a look at the run is written, its own first; all are locked meanwhile.
        consulted: further folders in which earlier looks may lie: `seals` in every folder above the run, and, as
            earlier versions took it, a relative `HALLMARK_SEALS` in the working folder.
        experiments: folders whose runs carry copies of the receipts.
    """

    written: tuple[Path, ...]
    consulted: tuple[Path, ...] = ()
    experiments: tuple[Path, ...] = ()

    @classmethod
    def of(
        cls, directories: Sequence[Path], name: str, *, configured: Path | None = None, recorded: str | None = None
    ) -> Self:  # fmt: skip
        """Those of the runs of experiment `name` in `directories`.

        Args:
            configured: what the configuration of the first run says.
            recorded: where that run was made under; of a copy that is another place than where it lies.
        """
        resolved = [directory.resolve() for directory in directories]
        root = outputs_of(directories[0], name)
        levels = list(dict.fromkeys(level for run in resolved for level in run.parents))
        chosen = os.environ.get(VARIABLE)
        written = [folder for folder in (configured, absolute_folder(root, chosen) if chosen else None) if folder]
        if recorded and _writable(Path(recorded)):
            written.append(Path(recorded))
        above = [folder / FOLDER for folder in levels]
        if recorded:
            above.append(Path(recorded))
        if chosen and not Path(chosen).is_absolute():
            above += [Path(chosen).absolute(), *(folder / chosen for folder in levels)]
        return cls(
            tuple(dict.fromkeys(folder.resolve() for folder in written or [root / FOLDER])), tuple(above),
            tuple(dict.fromkeys(run.parent for run in resolved)),
        )  # fmt: skip

    def looks(self, name: str, *, of_others: bool = True) -> list[Look]:
        """All looks that are known in these folders, oldest first; where copies differ, the run's own folder counts.

        Args:
            of_others: also those of experiments with another name.

        Raises:
            ValueError: a file of receipts of experiment `name` is damaged, or a copy that one of its runs carries.
        """
        looks: list[Look] = []
        for folder in dict.fromkeys((*self.written, *self.consulted)):
            for file in _files(folder if of_others else folder / name):
                try:
                    looks += read_looks(file)
                except (ValueError, OSError):
                    if file.parent == folder / name:
                        raise
        return merged([*looks, *self._copies()])

    def _copies(self) -> Iterator[Look]:
        """The looks that the runs themselves carry; raises ValueError where such a copy is damaged."""
        for folder in self.experiments:
            for file in sorted(folder.glob(f"*/{COPY}")):
                yield from read_looks(file)

    def files_of(self, name: str, content: str) -> list[Path]:
        """Where each of the folders has the receipts of a data set by its fingerprint."""
        return [folder / name / f"{content}.json" for folder in dict.fromkeys((*self.written, *self.consulted))]


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*.json") if not file.name.startswith("."))


def _writable(folder: Path) -> bool:
    """Whether receipts can be written there: the folder is there, or the outputs that it belongs to."""
    existing = folder if folder.is_dir() else folder.parent
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
