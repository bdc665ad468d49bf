from fractions import Fraction
from io import BufferedReader, FileIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hallmark.systems.deepfake import videos

av = pytest.importorskip("av", reason="no decoder of videos: pip install 'hallmark-experiments[video]'")


def write_video(path: Path, n: int, *, options: dict[str, str] | None = None, noise: bool = False) -> Path:
    """Frames of one gray each, 10 levels lighter from one to the next, or of noise."""
    rng = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("mpeg4", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.bit_rate = 20_000_000 if noise else 1_000_000
        for number in range(n):
            pixels = rng.integers(0, 256, (48, 64, 3), np.uint8) if noise else np.full((48, 64, 3), 20 + 10 * number)
            frame = av.VideoFrame.from_ndarray(pixels.astype(np.uint8), format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def _grays(paths: list[Path]) -> list[int]:
    return [round((np.asarray(Image.open(path)).mean() - 20) / 10) for path in paths]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])  # the second does not say how many frames it has
def test_frames_are_evenly_spaced_and_in_order(tmp_path, monkeypatch, suffix):
    path = write_video(tmp_path / f"video{suffix}", 20)
    frames = videos.extract_frames(path, 4, tmp_path / "cache")
    assert _grays(frames) == [2, 7, 12, 17]
    assert [frame.stem for frame in frames] == ["000002", "000007", "000012", "000017"]
    with monkeypatch.context() as patch:
        patch.setattr(av, "open", lambda *arguments, **settings: 1 / 0)  # what is in the cache is not decoded again
        assert videos.extract_frames(path, 4, tmp_path / "cache") == frames


def test_a_short_video_gives_all_it_has(tmp_path):
    path = write_video(tmp_path / "video.mp4", 3)
    assert _grays(videos.extract_frames(path, 8, tmp_path / "cache")) == [0, 1, 2]
    assert _grays(videos.extract_frames(path, None, tmp_path / "cache")) == [0, 1, 2]


class Counted(BufferedReader):
    """A file that notes how much is read of it at a time."""

    def __init__(self, path: Path) -> None:
        super().__init__(FileIO(path))
        self.sizes: list[int] = []

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        self.sizes.append(len(content))
        return content

    def readinto(self, buffer) -> int:
        self.sizes.append(super().readinto(buffer))
        return self.sizes[-1]


@pytest.mark.parametrize("most", [None, 3])
def test_a_long_video_is_read_in_parts_once_to_be_known_and_once_to_be_decoded(tmp_path, monkeypatch, most):
    path = write_video(tmp_path / "video.mp4", 200, noise=True)
    size = path.stat().st_size
    opened: list[Counted] = []
    monkeypatch.setattr(videos, "open_regular", lambda path: opened.append(Counted(path)) or opened[-1])
    frames = videos.extract_frames(path, most, tmp_path / "cache")
    assert len(frames) == (most or 200) and size > 500_000
    assert videos.extract_frames(path, most, tmp_path / "cache") == frames
    first, second = (file.sizes for file in opened)
    assert max(first) < size / 2
    assert 2 * size <= sum(first) < 2.5 * size and sum(second) == size  # some is read for the index


def test_videos_are_rows_and_broken_ones_are_named(deepfake, tmp_path):
    folder = tmp_path / "clips"
    for number in range(6):
        for label in ("real", "fake"):
            write_video(folder / label / f"{number}.mp4", 10 + number + 6 * (label == "fake"))
    (folder / "real" / "text.mp4").write_text("#EXTM3U\nhttp://localhost/x.ts\n")
    (folder / "real" / "empty.mp4").write_bytes(b"")
    raw = (folder / "fake" / "5.mp4").read_bytes()
    (folder / "fake" / "cut.mp4").write_bytes(raw[: len(raw) // 2])
    announced = write_video(folder / "real" / "short.mp4", 20, options={"movflags": "faststart"})
    announced.write_bytes(announced.read_bytes()[:-600])  # the index comes first and names frames that are not there
    write_video(folder / "fake" / "other.mkv", 20)
    data = deepfake(folder=str(folder), frames_per_video=2)
    data.prepare()
    assert {(p.kind, p.id) for p in data.problems.found} == {
        ("broken_video", "real/text.mp4"), ("broken_video", "real/empty.mp4"), ("broken_video", "fake/cut.mp4"),
        ("broken_video", "real/short.mp4"),
    }  # fmt: skip
    rows = data.samples
    assert len(rows) == 26 and rows["id"].is_unique
    assert rows.loc[rows["video"] == "real/0", "id"].tolist() == ["real/0/000002", "real/0/000007"]
    assert rows.groupby("video")["split"].nunique().eq(1).all()


def test_a_missing_decoder_is_said_with_the_file(monkeypatch, tmp_path):
    path = write_video(tmp_path / "video.mp4", 3)
    monkeypatch.setattr(videos, "has_decoder", lambda: False)
    with pytest.raises(videos.MissingDecoderError, match=r"video\.mp4"):
        videos.extract_frames(path, 2, tmp_path / "cache")
