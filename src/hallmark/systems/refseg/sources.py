"""Where annotated images come from: parquet in the schema of refcoco-m, a folder of the same, own pictures."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hallmark.checks import SettingError
from hallmark.data.images import read_image
from hallmark.data.problems import Problems
from hallmark.storage.decoding import decode_bytes
from hallmark.storage.delimited import read_table
from hallmark.storage.printing import shortened
from hallmark.storage.regular import UnsafePathError, path_below, read_regular
from hallmark.storage.requirements import Requirement, folder_with, hub_files

ANNOTATIONS, EXPRESSIONS = "annotations.jsonl", "expressions.csv"
_COLUMNS = ("image", "image_id", "file_name", "samples")
_EXTRA = ("split", "objects")  # of the sample world
_DAMAGED = (OSError, ValueError, pa.ArrowException)  # what reading a damaged parquet file raises


class Pictures(ABC):
    """The images of a source, read when asked for; safe to send to other processes."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def content(self, position: int) -> bytes:
        """The bytes of an image file; raises OSError where there is none."""

    @abstractmethod
    def name(self, position: int) -> str:
        """Where an image stands, for messages."""

    def contents(self) -> Iterator[bytes | None]:
        """The bytes of all image files in order, None where there is none."""
        for position in range(len(self)):
            try:
                yield self.content(position)
            except OSError:
                yield None

    def read(self, position: int) -> NDArray:
        """uint8 [H, W, 3], upright; raises OSError where it cannot be read."""
        return np.asarray(read_image(self.content(position), name=self.name(position)))


class FilePictures(Pictures):
    """Images in a folder or in `images/` below it, by the names that a list gives them."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.folder, self.names = folder, list(names)

    def __len__(self) -> int:
        return len(self.names)

    def name(self, position: int) -> str:
        return str(self.folder / self.names[position])

    def content(self, position: int) -> bytes:
        name = self.names[position]
        path = path_below(self.folder, name)
        below = path_below(self.folder, f"images/{name}")
        return read_regular(below if below.is_file() and not path.is_file() else path)


class ParquetPictures(Pictures):
    """Images inside parquet files; holds one row group at a time, the last one asked for, or what can be read of it."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = list(files)
        self._groups: list[tuple[Path, int]] = []
        lengths = []
        for file in self.files:
            metadata = pq.read_metadata(file)
            self._groups += [(file, group) for group in range(metadata.num_row_groups)]
            lengths += [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self._ends = np.cumsum(lengths, dtype=int)
        self._held: tuple[int, list[Any], str] | None = None  # a group, its images, and why they are not all

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_held": None}

    def name(self, position: int) -> str:
        return f"{self._groups[int(np.searchsorted(self._ends, position, side='right'))][0]}, row {position}"

    def content(self, position: int) -> bytes:
        group_number = int(np.searchsorted(self._ends, position, side="right"))
        file, group = self._groups[group_number]
        if self._held is None or self._held[0] != group_number:
            self._held = group_number, *_images_in(file, group)
        images, why = self._held[1:]
        row = position - int(self._ends[group_number - 1] if group_number else 0)
        if row >= len(images):
            raise OSError(f"{file}: row {position} cannot be read: {why}")
        image = _image_bytes(images[row], file)
        if image is None:
            raise OSError(f"{file}: row {position} has no image")
        return image


def _images_in(file: Path, group: int) -> tuple[list[Any], str]:
    """The image cells of a row group; of a damaged one those before the damage, and what that is."""
    # No open file is kept: forked workers would share its position.
    try:
        return pq.ParquetFile(file).read_row_group(group, columns=["image"]).column("image").to_pylist(), ""
    except _DAMAGED as error:
        why = str(error)
    images: list[Any] = []
    with suppress(*_DAMAGED):
        for batch in pq.ParquetFile(file).iter_batches(batch_size=1, row_groups=[group], columns=["image"]):
            images += batch.column("image").to_pylist()
    return images, why


def _image_bytes(value: Any, file: Path) -> bytes | None:
    """The bytes of an image cell: themselves, or a struct of bytes and path, as Hugging Face datasets write it.

    Raises:
        OSError: the path is none below the folder of `file`, or nothing can be read there.
    """
    if isinstance(value, dict):
        if value.get("bytes") is not None:
            return value["bytes"]
        name = value.get("path")
        return read_regular(path_below(file.parent, name)) if name else None
    if value is not None and not isinstance(value, bytes):
        raise OSError(f"{file}: expected the bytes of an image; found {type(value).__name__}")
    return value


def open_source(source: str, problems: Problems) -> tuple[list[dict[str, Any]], Pictures]:
    """Annotations, one record an image (image_id, file_name, samples, …), and the images in the same order.

    Lines of `annotations.jsonl` that are no such record are noted in `problems` and left out.

    Args:
        source: a parquet file; a folder of parquet files, of `annotations.jsonl` and images, or of `expressions.csv`
            (image, expression) and images; or the name of a data set on the Hugging Face hub.

    Raises:
        SettingError: nothing there, or not this layout.
        ValueError: an `expressions.csv` that is no table.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return _from_parquet([path])
    if not path.is_dir():
        path = _from_hub(source)
    if (path / ANNOTATIONS).is_file():
        return _from_lines(path, problems)
    if (path / EXPRESSIONS).is_file():
        return _from_expressions(path, problems)
    files = sorted(file for file in path.rglob("*.parquet") if not file.name.startswith(".") and file.is_file())
    if not files:
        raise SettingError("source", source, _layout("it has neither"))
    return _from_parquet(files)


def source_requirement(source: str) -> Requirement:
    """What `open_source` reads, without opening it."""
    path, text = Path(source).expanduser(), "images with sentences"
    if path.is_file() or path.is_dir():
        lists = any((path / name).is_file() for name in (ANNOTATIONS, EXPRESSIONS))
        parquet = path if path.is_file() else next(path.rglob("*.parquet"), None)
        fits = lists or (parquet is not None and _has_columns(parquet))
        layouts = f"{ANNOTATIONS}, {EXPRESSIONS} or parquet files with the columns {', '.join(_COLUMNS)}"
        return Requirement(f"{text} in {path}", "" if fits else f"{path} has no {layouts}")
    if _looks_like_path(source):
        return folder_with([], path, text=text)
    advice = "run once with network access, give a folder with its parquet files, or choose profile=sample"
    problem = "" if hub_files(source, kind="dataset") else "data set not found without network"
    return Requirement(f"{text} of {source}", problem, advice)


def _has_columns(parquet: Path) -> bool:
    try:
        return set(_COLUMNS) <= set(pq.read_schema(parquet).names)
    except _DAMAGED:
        return False


def _looks_like_path(name: str) -> bool:
    return name.startswith(("/", ".", "~")) or name.count("/") != 1 or name.endswith(".parquet")


def _layout(cause: str) -> str:
    return (
        "a parquet file or a folder with parquet files in the schema of moondream/refcoco-m, or a folder with "
        f"{ANNOTATIONS} or {EXPRESSIONS} (image,expression) and images, or a data set's name on the Hugging Face hub; "
        f"{cause}"
    )


def _from_hub(name: str) -> Path:
    if _looks_like_path(name):
        raise SettingError("source", name, _layout("there is nothing of that name here"))
    from huggingface_hub import snapshot_download

    from hallmark.learning.encoders.weights import MissingWeightsError, published

    try:
        with published(name):
            return Path(snapshot_download(name, repo_type="dataset", allow_patterns=["*.parquet"]))
    except MissingWeightsError as error:
        advice = (
            "a data set that can be reached. Three ways: run once with network access, which downloads it into the "
            "Hugging Face cache (HF_HOME); copy its parquet files to this machine and give their folder; or choose "
            f"profile=sample, which generates a world of its own ({error.__cause__})"
        )
        raise SettingError("source", name, advice) from error


def _from_parquet(files: Sequence[Path]) -> tuple[list[dict[str, Any]], Pictures]:
    records: list[dict[str, Any]] = []
    for file in files:
        try:
            names = pq.read_schema(file).names
        except _DAMAGED as error:
            raise SettingError("source", str(file), _layout(f"it is no parquet file: {error}")) from error
        if missing := [name for name in _COLUMNS if name not in names]:
            raise SettingError("source", str(file), _layout(f"it lacks the columns {', '.join(missing)}"))
        wanted = [name for name in (*_COLUMNS[1:], *_EXTRA) if name in names]
        records += pq.ParquetFile(file).read(wanted).to_pylist()
    return records, ParquetPictures(files)


def _list_in(folder: Path, name: str) -> Path:
    try:
        return path_below(folder, name)
    except UnsafePathError as error:
        raise SettingError("source", str(folder), _layout(str(error))) from error


def _from_lines(folder: Path, problems: Problems) -> tuple[list[dict[str, Any]], Pictures]:
    path, records, names = _list_in(folder, ANNOTATIONS), [], []
    decoded = decode_bytes(read_regular(path))
    if decoded.doubt:
        problems.add("", "uncertain_encoding", f"{path}: {decoded.doubt}")
    for number, line in enumerate(decoded.text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = _parsed_line(line)
            image = record.get("image") or record["file_name"]
            name = image["path"] if isinstance(image, dict) else image
            record = {"file_name": name, **record, "image_id": record["image_id"], "samples": record["samples"]}
            if not isinstance(name, str) or not isinstance(record["samples"], list | None):
                raise TypeError(f"image {name!r}, samples {str(record['samples'])[:40]}")
            records.append(record)
            names.append(name)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            expected = "a JSON object with image_id, samples, and image or file_name"
            detail = f"{path}, line {number}: expected {expected}; {shortened(repr(error))}"
            problems.add(f"line {number}", "damaged_record", detail)
    return records, FilePictures(folder, names)


def _parsed_line(line: str) -> Any:
    """A line of JSON; halves of surrogate pairs, which can be escaped there and written nowhere, become U+FFFD."""
    value = json.loads(line)
    if "\\ud" in line.lower():
        raw = json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
        value = json.loads(raw.decode(errors="replace"))
    return value


def _from_expressions(folder: Path, problems: Problems) -> tuple[list[dict[str, Any]], Pictures]:
    """Own pictures: a record a picture, one sample an expression, without a mask."""
    read = read_table(_list_in(folder, EXPRESSIONS), required=("image", "expression"), tidy=True)
    if read.doubt:
        problems.add("", "uncertain_encoding", read.doubt)
    records, names = [], []
    for name, rows in read.cells.groupby("image", sort=False):
        sample = {"id": name, "sentences": rows["expression"].tolist(), "mask": None}
        records.append({"image_id": name, "file_name": name, "samples": [sample]})
        names.append(str(name))
    return records, FilePictures(folder, names)
