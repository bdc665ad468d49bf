from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hallmark.storage.hashing import digest_file
from hallmark.systems.deepfake import videos

av = pytest.importorskip("av", reason="no decoder of videos: pip install 'hallmark-experiments[video]'")


def write_video(path: Path, n: int, *, options: dict[str, str] | None = None) -> Path:
    """Frames of one gray each, 10 levels lighter from one to the next."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream("mpeg4", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(n):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 + 10 * number, np.uint8), format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def _grays(paths: list[Path]) -> list[int]:
    return [round((np.asarray(Image.open(path)).mean() - 20) / 10) for path in paths]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])  # the second does not say how many frames it has
def test_frames_are_evenly_spaced_and_in_order(tmp_path, suffix):
    path = write_video(tmp_path / f"video{suffix}", 20)
    frames = videos.extract_frames(path, digest_file(path), 4, tmp_path / "cache")
    assert _grays(frames) == [2, 7, 12, 17]
    assert [frame.stem for frame in frames] == ["000002", "000007", "000012", "000017"]
    path.unlink()  # what is in the cache is not decoded again
    assert videos.extract_frames(path, frames[0].parent.name.split("-")[0], 4, tmp_path / "cache") == frames


def test_a_short_video_gives_all_it_has(tmp_path):
    path = write_video(tmp_path / "video.mp4", 3)
    assert _grays(videos.extract_frames(path, digest_file(path), 8, tmp_path / "cache")) == [0, 1, 2]
    assert _grays(videos.extract_frames(path, digest_file(path), None, tmp_path / "cache")) == [0, 1, 2]


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
        videos.extract_frames(path, digest_file(path), 2, tmp_path / "cache")
