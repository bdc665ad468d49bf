"""Where the records of accesses to test splits lie, so that a copied or moved run still knows of them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hallmark.runs.access import TestAccess, merged, read_accesses

VARIABLE = "HALLMARK_SEALS"
FOLDER = "seals"  # in the outputs, where nothing else is set
COPY = "looks.json"  # in the directory of each run that was evaluated


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
class AccessFolders:
    """The folders that may hold access records of a run's experiment.

    Attributes:
        written: seals folders into which an access to the run is written, its own first; all are locked meanwhile.
        consulted: further folders in which earlier accesses may lie: `seals` in every folder above the run, and, as
            earlier versions took it, a relative `HALLMARK_SEALS` in the working folder.
        experiments: folders whose runs carry copies of the records.
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
        above = [folder / FOLDER for folder in levels]
        if recorded:
            above.append(Path(recorded))
            # Records can be written there: the folder is there, or the outputs that it belongs to.
            existing = above[-1] if above[-1].is_dir() else above[-1].parent
            if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
                written.append(above[-1])
        if chosen and not Path(chosen).is_absolute():
            above += [Path(chosen).absolute(), *(folder / chosen for folder in levels)]
        return cls(
            tuple(dict.fromkeys(folder.resolve() for folder in written or [root / FOLDER])), tuple(above),
            tuple(dict.fromkeys(run.parent for run in resolved)),
        )  # fmt: skip

    def accesses(self, name: str, *, of_others: bool = True) -> list[TestAccess]:
        """All accesses that are known in these folders, oldest first; where copies differ, the run's own folder counts.

        Args:
            of_others: also those of experiments with another name.

        Raises:
            ValueError: a file of records of experiment `name` is damaged, or a copy in one of its runs.
        """
        accesses: list[TestAccess] = []
        for folder in dict.fromkeys((*self.written, *self.consulted)):
            for file in sorted((folder if of_others else folder / name).rglob("*.json")):
                if file.name.startswith("."):
                    continue
                try:
                    accesses += read_accesses(file)
                except (ValueError, OSError):
                    if file.parent == folder / name:
                        raise
        copies = [file for folder in self.experiments for file in sorted(folder.glob(f"*/{COPY}"))]
        return merged([*accesses, *(access for file in copies for access in read_accesses(file))])

    def files_of(self, name: str, content: str) -> list[Path]:
        """Where each of the folders has the access records of a data set by its fingerprint."""
        return [folder / name / f"{content}.json" for folder in dict.fromkeys((*self.written, *self.consulted))]
