from collections.abc import Callable
from fractions import Fraction
from io import BufferedReader, FileIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hallmark.storage.hashing import digest_file
from hallmark.systems.deepfake import videos

av = pytest.importorskip("av", reason="no decoder of videos: pip install 'hallmark-experiments[video]'")


def gray(number: int) -> np.ndarray:
    """10 levels lighter from one frame to the next."""
    return np.full((48, 64, 3), 20 + 10 * number, np.uint8)


def noise(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)


def bright(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Bright boxes on a dark ground, which the stub of a detector takes for faces."""
    pixels = np.full((48, 64, 3), 20, np.uint8)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = 220
    return pixels


def moving(number: int) -> np.ndarray:
    """A face that goes from the left border to the right one, and down."""
    left, top = 5 * number, 2 * number
    return bright((left, top, left + 16, top + 16))


def write_video(
    path: Path, n: int, draw: Callable[[int], np.ndarray] = gray, *, options: dict[str, str] | None = None
) -> Path:  # fmt: skip
    """`n` frames as `draw` makes them of their numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("mpeg4", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.bit_rate = 20_000_000
        for number in range(n):
            frame = av.VideoFrame.from_ndarray(draw(number), format="rgb24")
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
    path = write_video(tmp_path / "video.mp4", 200, noise)
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
    half = write_video(folder / "real" / "half.mkv", 20)  # it says how long it is, and not how many frames it has
    half.write_bytes(half.read_bytes()[: half.stat().st_size // 2])
    data = deepfake(folder=str(folder), frames_per_video=2)
    data.prepare()
    assert {(p.kind, p.id) for p in data.problems.found} == {
        ("broken_video", "real/text.mp4"), ("broken_video", "real/empty.mp4"), ("broken_video", "fake/cut.mp4"),
        ("broken_video", "real/short.mp4"), ("broken_video", "real/half.mkv"), ("many_frames", "fake/other.mkv"),
        *(("many_frames", f"{label}/{number}.mp4") for label in ("real", "fake") for number in range(6)),
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


def test_crops_follow_a_face_that_moves_through_a_video(crops, tmp_path):
    path = write_video(tmp_path / "video.mp4", 10, moving)
    frames = videos.extract_frames(path, None, tmp_path / "cache")
    cropped = crops.crop(frames, [digest_file(frame) for frame in frames], tmp_path / "cache")
    for number, crop in enumerate(cropped):
        left, top = 5 * number, 2 * number
        # A side of 1.5 · 16 about the face's center, moved into the picture.
        expected = (min(max(left - 4, 0), 40), min(max(top - 4, 0), 24))
        assert crop.faces == 1 and np.abs(np.subtract(crop.box[:2], expected)).max() <= 1, number
        pixels = np.asarray(Image.open(crop.path).convert("L")) > 128
        assert abs(pixels.sum() - 16 * 16) < 60, number  # the whole face is in it, to the blocks of the codec
    assert len({crop.box for crop in cropped}) == 10


def test_videos_without_faces_with_several_and_with_a_broken_stream_are_named_and_the_others_stay(
    deepfake, crops, tmp_path
):
    folder = tmp_path / "clips"
    for number in range(6):
        for label in ("real", "fake"):
            height = 12 + number + 6 * (label == "fake")
            write_video(
                folder / label / f"{number}.mp4", 3, lambda frame, height=height: bright((20, 8, 36, 8 + height))
            )
    write_video(folder / "real" / "nobody.mp4", 3)
    write_video(folder / "fake" / "two.mp4", 3, lambda frame: bright((2, 16, 10, 24), (20, 16, 44, 40)))
    sometimes = folder / "real" / "sometimes.mp4"
    write_video(sometimes, 4, lambda frame: bright((20, 8, 37, 25)) if frame < 2 else gray(0))
    broken = write_video(folder / "fake" / "broken.mp4", 20, noise, options={"movflags": "faststart"})
    broken.write_bytes(broken.read_bytes()[:-20_000])
    data = deepfake(folder=str(folder), faces=crops)
    data.prepare()
    named = sorted((problem.kind, problem.id) for problem in data.problems.found)
    assert named == [
        ("broken_video", "fake/broken.mp4"), *(("no_face", f"real/nobody.mp4/00000{frame}") for frame in range(3)),
        *(("no_face", f"real/sometimes.mp4/00000{frame}") for frame in (2, 3)),
        *(("several_faces", f"fake/two.mp4/00000{frame}") for frame in range(3)),
    ]  # fmt: skip
    counts = data.samples["video"].value_counts().to_dict()
    assert counts == {**{f"{label}/{n}": 3 for label in ("real", "fake") for n in range(6)}, "fake/two": 3,
                      "real/sometimes": 2}  # fmt: skip
    two = data.samples[data.samples["video"] == "fake/two"]
    assert set(two["info_faces"]) == {"2"} and Image.open(two["info_path"].iloc[0]).size == (36, 36)
