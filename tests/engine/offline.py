"""What an offline folder of W&B holds, read record by record from its transaction log.

The file is a header of seven bytes and blocks of LevelDB's log format: checksum, length, type, then that much of a
protocol buffer, which may go on in the next block.
"""

import json
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEADER, FIRST, LAST, WHOLE = 2**15, 7, 2, 4, 1


def folders(run_directory: Path) -> list[Path]:
    """Offline folders of a run directory, the oldest first."""
    return sorted(run_directory.glob("wandb/offline-run-*"))


@dataclass
class Offline:
    """The records of an offline folder."""

    folder: Path
    records: list[Record]

    @classmethod
    def of(cls, folder: Path) -> "Offline":
        """Read `folder` once its last record, the exit, is there: W&B flushes the file a moment after it is told so."""
        (file,) = folder.glob("run-*.wandb")
        for _ in range(200):
            records = cls(folder, [Record.FromString(content) for content in _contents(file.read_bytes())])
            if records.each("exit"):
                break
            time.sleep(0.05)
        return records

    def each(self, kind: str) -> list[Any]:
        return [getattr(record, kind) for record in self.records if record.WhichOneof("record_type") == kind]

    @property
    def run(self) -> Any:
        """As the last record of it says."""
        return self.each("run")[-1]

    @property
    def config(self) -> dict[str, Any]:
        return _values(self.each("run")[0].config.update)

    @property
    def exit_code(self) -> int:
        (ended,) = self.each("exit")
        return ended.exit_code

    @property
    def history(self) -> dict[int, dict[str, Any]]:
        """Logged values by step."""
        return {record.step.num: _values(record.item) for record in self.each("history")}

    @property
    def summary(self) -> dict[str, Any]:
        return {key: value for record in self.each("summary") for key, value in _values(record.update).items()}

    def media(self, path: str) -> bytes:
        """Content of a logged picture."""
        return (self.folder / "files" / path).read_bytes()


def _values(items: Any) -> dict[str, Any]:
    return {update.key or "/".join(update.nested_key): json.loads(update.value_json) for update in items}


def _contents(data: bytes) -> list[bytes]:
    assert data[:4] == b":W&B"
    records, part, position = [], b"", HEADER
    while position < len(data):
        if BLOCK - position % BLOCK < HEADER:
            position += BLOCK - position % BLOCK
            continue
        header = data[position : position + HEADER]
        length, kind = int.from_bytes(header[4:6], "little"), int.from_bytes(header[6:])
        content = data[position + HEADER : position + HEADER + length]
        if len(header) < HEADER or len(content) < length:
            break  # the rest is not flushed yet
        assert zlib.crc32(bytes([kind]) + content) == int.from_bytes(header[:4], "little")
        part = content if kind in (WHOLE, FIRST) else part + content
        if kind in (WHOLE, LAST):
            records.append(part)
        position += HEADER + length
    return records
