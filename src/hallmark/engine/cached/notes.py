"""Notes in the cache: what a command printed, and all that it came from, so that it can be said again without torch.

A note that is not there, or does not hold any more, costs time and nothing else.
"""

import sys
import sysconfig
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

import hallmark
from hallmark.checks import UserError
from hallmark.engine.config.symbolic import plain
from hallmark.engine.messages import Block, as_plain, from_plain, print_block
from hallmark.runs.configuration import FILE
from hallmark.runs.repeats import FILE as REPEATS
from hallmark.runs.repeats import RepeatSet
from hallmark.storage.files import read_json, write_json
from hallmark.storage.hashing import digest
from hallmark.storage.unchanged import is_unchanged, state_of

Group = tuple[Iterable[Path], str]
"""Files and folders, and the state that they were in (`hallmark.storage.unchanged`)."""


@dataclass(frozen=True)
class Note:
    """The place of a note.

    Attributes:
        checked: hash of what decides whether settings are right, how files are read and what is printed, but for these
            files themselves.
    """

    file: Path
    checked: str

    @classmethod
    def of(cls, config: DictConfig, subject: Any) -> "Note":
        """That of a command with the settings `config`, on `subject` in plain containers.

        Raises:
            ValueError: an interpolation cannot be resolved.
        """
        file = Path(config.paths.cache) / "done" / f"{digest(subject)}.json"
        return cls(file, digest([plain(config), *_installation(), str(Path.cwd())]))

    def write(self, printed: Sequence[Block], groups: Sequence[Group]) -> None:
        """Leave the note, if that is possible.

        Args:
            groups: all that was read, in the states of before that.
        """
        states = [[[str(path.absolute()) for path in paths], state] for paths, state in groups]
        with suppress(OSError):
            texts = list(map(as_plain, printed))
            write_json(self.file, {"checked": self.checked, "states": states, "printed": texts})

    @property
    def exists(self) -> bool:
        """Whether there is a note on the same settings, code and packages; files are not looked at."""
        return self._content() is not None

    def read(self) -> dict[str, Any] | None:
        """What was noted, where there is a note and nothing has changed since."""
        content = self._content()
        unchanged = content is not None and all(
            is_unchanged(map(Path, paths), state) for paths, state in content["states"]
        )
        return content if unchanged else None

    def _content(self) -> dict[str, Any] | None:
        try:
            content = read_json(self.file)
            return content if content["checked"] == self.checked and content["states"] else None
        except (OSError, UserError, KeyError, TypeError):  # none, or one of another version
            return None


def print_again(content: dict[str, Any]) -> None:
    """Print what was printed when the note was left."""
    for block in content["printed"]:
        print_block(from_plain(block))


def result_files(directory: Path) -> list[Path]:
    """Where the result of a run or a set of repeats is kept, that of its members included."""
    files = [directory / name for name in ("record.json", "metrics.json", FILE, REPEATS, "predictions")]
    if not (directory / REPEATS).exists():
        return files
    return [*files, *(file for member in RepeatSet(directory).members for file in result_files(member.directory))]


@cache
def _installation() -> tuple[str, list[str], str]:
    """The source code of this package, the names of all installed ones, and Python, as this process began with them."""
    sources = state_of(Path(hallmark.__file__).parent.rglob("*.py"), "contents")
    folders = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    installed = sorted(path.name for folder in folders for path in folder.glob("*.dist-info"))
    return sources, installed, sys.version
