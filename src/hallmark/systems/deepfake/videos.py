"""Frames of video files."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from hallmark.checks import Portable, UserError
from hallmark.storage.files import atomic_path
from hallmark.storage.hashing import digest_stream
from hallmark.storage.regular import open_regular
from hallmark.systems.deepfake.manifest import evenly_spaced

if TYPE_CHECKING:
    from av.container import InputContainer

_LEAST_OF_STATED = 0.9
"""The share of its stated time that a video has to show: containers round, and a last picture may stand for long."""


class BrokenVideoError(OSError):
    """A video that cannot be decoded; the message names its file and says why."""


class MissingDecoderError(Portable, UserError):
    """PyAV is not installed."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: a video is decoded with PyAV: pip install 'hallmark-experiments[video]'")


def has_decoder() -> bool:
    """Whether PyAV is installed."""
    return find_spec("av") is not None


def extract_frames(path: Path, most: int | None, cache: Path) -> list[Path]:
    """At most `most` evenly spaced frames of a video as PNG files, in order, stored under `cache`; None for all.

    The file is read for its digest, by which frames are stored, and where they are not there to be decoded, from its
    beginning, because a seek lands on other frames in other files; twice where it does not say how many it has. One
    frame at a time is in memory, and no more of the file than a buffer.

    Raises:
        BrokenVideoError: no video, or a stream with fewer frames than it announces, or a much shorter one.
        MissingDecoderError: PyAV is not installed.
        UnreadableFileError: no regular file that can be read.
    """
    with open_regular(path) as file:
        content = digest_stream(file)
        folder = cache / "frames" / content[:2] / f"{content}-{most or 'all'}"
        names = folder / "frames.txt"
        if names.is_file():
            return [folder / name for name in names.read_text(encoding="utf-8").split()]
        if not has_decoder():
            raise MissingDecoderError(path)
        with _decoder(path, file) as container:
            n = container.streams.video[0].frames or sum(1 for _ in container.decode(video=0))
        chosen = set(evenly_spaced(n, most or n).tolist())
        if not chosen:
            raise BrokenVideoError(f"{path}: a video without frames")
        paths, first, last = [], 0.0, 0.0
        with _decoder(path, file) as container:
            stated, rate = _stated_seconds(container), container.streams.video[0].average_rate
            for number, frame in enumerate(container.decode(video=0)):
                last = last if frame.time is None else frame.time
                first = first if number else last
                if number in chosen:
                    paths.append(folder / f"{number:06d}.png")
                    with atomic_path(paths[-1]) as temporary:
                        frame.to_image().save(temporary, "PNG", compress_level=1)  # four times as fast
    if len(paths) < len(chosen):
        raise BrokenVideoError(f"{path}: announces {n} frames and ends before them")
    if last - first < _LEAST_OF_STATED * stated - 2 / (rate or 1):  # a frame is shown until the next one
        raise BrokenVideoError(f"{path}: announces {stated:.1f} s and ends after {last - first:.1f} s")
    with atomic_path(names) as temporary:
        temporary.write_text("\n".join(target.name for target in paths), encoding="utf-8")
    return paths


def _stated_seconds(container: "InputContainer") -> float:
    """How long the video is by what its file says, where that does not count frames; 0 where it says nothing."""
    stream = container.streams.video[0]
    if stream.frames:
        return 0.0
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if re.fullmatch(r"\d+:\d+:\d+(\.\d+)?", tag := stream.metadata.get("DURATION", "")):  # Matroska has it by stream
        hours, minutes, seconds = map(float, tag.split(":"))
        return 3600 * hours + 60 * minutes + seconds
    alone = len(container.streams) == 1  # else the sound may be longer
    return container.duration / 1e6 if alone and container.duration else 0.0


@contextmanager
def _decoder(path: Path, file: BufferedReader) -> Iterator["InputContainer"]:
    """The video in `file`, which is `path`, from its beginning; what FFmpeg raises becomes a `BrokenVideoError`."""
    import av  # an extra, and large

    try:
        file.seek(0)
        # Of the open file and with no protocol allowed, so that a playlist in the place of a video opens no other file.
        with av.open(file, "r", options={"protocol_whitelist": ""}) as container:
            if not container.streams.video:
                raise BrokenVideoError(f"{path}: no video stream")
            yield container
    except av.error.FFmpegError as error:
        raise BrokenVideoError(f"{path}: {error.strerror or error}") from error
