import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hallmark.checks import SettingError
from hallmark.data.problems import BadDataError


class Frames:
    """A folder of manifests, to be written row by row; every picture is different."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.lists, self.count = folder, {}, 0
        folder.mkdir()

    def picture(self, path: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        rng, self.count = np.random.default_rng(self.count), self.count + 1
        pixels = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC).save(file)
        return file

    def add(self, path: str, label: str, video: str, *, split: str = "train", picture: bool = True, **more) -> Path:
        self.lists.setdefault(split, []).append({"path": path, "label": label, "video": video, **more})
        return self.picture(path) if picture else self.folder / path

    def video(self, name: str, label: str, frames: int = 2, **more) -> None:
        for frame in range(frames):
            self.add(f"{name}/{frame}.png", label, name, **more)

    def write(self) -> str:
        for split, rows in self.lists.items():
            columns = list(dict.fromkeys(name for row in rows for name in row))
            with (self.folder / f"{split}_manifest.csv").open("w", newline="") as file:
                writer = csv.DictWriter(file, columns, restval="")
                writer.writeheader()
                writer.writerows(rows)
        return str(self.folder)

    def fill(self, n: int = 6) -> "Frames":
        """`n` real and as many fake videos to train on, and two of each to validate on."""
        for split, count in (("train", n), ("val", 2)):
            for number in range(count):
                for label in ("real", "fake"):
                    self.video(f"{split}-{label}-{number}", label, split=split)
        return self


@pytest.fixture
def frames(tmp_path) -> Frames:
    return Frames(tmp_path / "frames")


def _kinds(data) -> dict[str, str]:
    return {problem.kind: problem.id for problem in data.problems.found}


def test_every_bad_row_is_named_and_the_others_stay(deepfake, frames):
    frames.fill()
    frames.add("zero.png", "real", "zero").write_bytes(b"")
    cut = frames.add("cut.png", "real", "cut")
    cut.write_bytes(cut.read_bytes()[:-40])
    frames.add("missing.png", "fake", "missing", picture=False)
    frames.add("../outside.png", "fake", "outside", picture=False)
    frames.add("train-real-0/0.png", "real", "train-real-0", picture=False)
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(frames.add("deep.png", "real", "deep"))
    Image.new("L", (8, 8), 90).save(frames.add("gray.png", "fake", "gray"))
    Image.new("CMYK", (8, 8), (90, 20, 50, 7)).save(frames.add("print.jpg", "fake", "print"))
    data = deepfake(folder=frames.write())
    data.prepare()
    named = {(problem.kind, problem.id) for problem in data.problems.found}
    assert named == {
        ("unreadable_image", "zero.png"), ("unreadable_image", "cut.png"), ("missing_file", "missing.png"),
        ("unsafe_path", "../outside.png"), ("duplicate_path", "train-real-0/0.png"), ("deep_image", "deep.png"),
        ("gray_image", "deep.png"), ("gray_image", "gray.png"), ("cmyk_image", "print.jpg"),
    }  # fmt: skip
    assert set(data.samples["video"]) == {
        *(f"{s}-{c}-{n}" for s, count in (("train", 6), ("val", 2)) for c in ("real", "fake") for n in range(count)),
        "deep", "gray", "print",
    }  # fmt: skip
    assert len(data.samples) == 2 * (12 + 4) + 3


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        ({"path": "a.png", "label": "maybe", "video": "a"}, "unknown_label"),
        ({"path": "a.png", "label": "real", "video": ""}, "empty_video"),
        ({"path": "", "label": "real", "video": "a", "picture": False}, "empty_path"),
        ({"path": "train-real-0/9.png", "label": "fake", "video": "train-real-0"}, "mixed_video"),
        ({"path": "a.png", "label": "real", "video": "a", "split": "train", "set": "x"}, None),
    ],
)
def test_what_makes_a_row_doubtful_stops(deepfake, frames, row, kind):
    frames.fill().add(**row)
    data = deepfake(folder=frames.write())
    if kind is None:
        data.prepare()
        assert not data.problems.found
        return
    with pytest.raises(BadDataError):
        data.prepare()
    assert kind in _kinds(data)


def test_numbers_as_labels_need_a_direction(deepfake, frames):
    for split in ("train", "val"):
        for number in range(4):
            frames.video(f"{split}{number}", str(number % 2), split=split)
    folder = frames.write()
    with pytest.raises(BadDataError, match="1 for fake and others 1 for real"):
        deepfake(folder=folder).prepare()
    data = deepfake(folder=folder, labels={0: "fake", 1: "real"})
    data.prepare()
    assert dict(data.samples[["video", "target"]].to_numpy()) == {
        f"{split}{number}": ["fake", "real"][number % 2] for split in ("train", "val") for number in range(4)
    }
    with pytest.raises(SettingError):
        deepfake(folder=folder, labels={0: "yes", 1: "no"})


def test_one_class_alone_is_refused(deepfake, frames):
    for split in ("train", "val"):
        frames.video(f"{split}0", "real", split=split)
    with pytest.raises(ValueError, match="only one class"):
        deepfake(folder=frames.write()).prepare()


def test_a_video_in_two_manifests_is_found_by_the_gate(deepfake, frames):
    frames.fill()
    frames.add("train-fake-0/7.png", "fake", "train-fake-0", split="val")
    data = deepfake(folder=frames.write())
    data.prepare()
    leaks = data.find_leaks()
    assert leaks.verdicts["group"] == "found"
    assert set(leaks.findings["first_split"]) | set(leaks.findings["second_split"]) == {"train", "val"}


def test_videos_sources_and_pairs_are_one_group(deepfake, frames):
    frames.fill()
    frames.video("a", "real", source="anna")
    frames.video("b", "real", source="bob")
    frames.video("a_swapped", "fake", source="a; bob")
    frames.video("c", "fake", source="carl")
    data = deepfake(folder=frames.write())
    data.prepare()
    groups = data.samples.drop_duplicates("video").set_index("video")["group"]
    assert groups["a"] == groups["b"] == groups["a_swapped"] != groups["c"]
    assert groups.drop(["a", "b", "a_swapped"]).is_unique


def test_columns_may_have_the_names_that_published_lists_use(deepfake, frames):
    frames.fill()
    for rows in frames.lists.values():
        for row in rows:
            row |= {"img_path": row.pop("path"), "class": row.pop("label").upper(), "clip": row.pop("video")}
    data = deepfake(folder=frames.write())
    data.prepare()
    assert len(data.samples) == 32 and set(data.samples["target"]) == {"real", "fake"}


def test_a_list_without_videos_says_which_columns_it_has(deepfake, frames):
    frames.fill()
    for rows in frames.lists.values():
        for row in rows:
            del row["video"]
    with pytest.raises(SettingError, match="has no video; it has path, label"):
        deepfake(folder=frames.write()).prepare()


def test_frames_of_a_long_video_are_evenly_spaced(deepfake, frames):
    frames.fill()
    for frame in range(40):
        frames.add(f"long/{frame}.png", "real", "long")
    data = deepfake(folder=frames.write(), frames_per_video=4)
    data.prepare()
    rows = data.samples[data.samples["video"] == "long"]
    assert rows["id"].tolist() == ["long/5", "long/15", "long/25", "long/35"]
    assert _kinds(data) == {"many_frames": "long"}


def test_of_a_thousand_frames_those_that_are_used_are_opened_and_the_number_is_told(deepfake, frames):
    frames.fill()
    chosen = [int((part + 0.5) * 1000 / 32) for part in range(32)]
    for frame in np.random.default_rng(0).permutation(1000).tolist():
        frames.add(f"long/{frame}.png", "real", "long", picture=frame in chosen)
    data = deepfake(folder=frames.write(), frames_per_video=32)
    data.prepare()
    (problem,) = data.problems.found
    assert (
        (problem.kind, problem.id) == ("many_frames", "long") and "1,000" in problem.detail and "32" in problem.detail
    )
    rows = data.samples[data.samples["video"] == "long"]
    assert sorted(rows["id"]) == sorted(f"long/{frame}" for frame in chosen)
    assert len(data.samples) == 32 + 32


def test_folders_are_classes_methods_and_videos(deepfake, frames):
    for number in range(8):
        for frame in range(2):
            frames.picture(f"real/{number:03d}/{frame}.png")
            frames.picture(f"fake/swap/{number:03d}_{(number + 1) % 8 if number < 2 else 900 + number:03d}/{frame}.png")
    frames.picture("fake/alone.png")
    data = deepfake(folder=str(frames.folder))
    data.prepare()
    rows = data.samples.drop_duplicates("video").set_index("video")
    assert rows.loc["fake/swap/003_903", ["target", "slice_method"]].tolist() == ["fake", "swap"]
    assert rows.loc["fake/alone", "slice_method"] == "fake" and rows.loc["real/001", "slice_method"] == "real"
    # 000 was made with 001, and 001 with 002.
    chain = ["real/000", "real/001", "real/002", "fake/swap/000_001", "fake/swap/001_002", "fake/swap/002_902"]
    assert rows.loc[chain, "group"].nunique() == 1
    assert rows["group"].nunique() == 1 + 5 + 1
    assert set(data.samples["split"]) == {"train", "val"}
    assert data.samples.groupby("group")["split"].nunique().eq(1).all()


def test_files_of_folders_are_told_apart_named_or_hidden(deepfake, frames):
    for number in range(6):
        frames.picture(f"real/{number}.png")
        frames.picture(f"fake/{number}.png")
    for name in ("real/0.jpeg", "fake/1.webp", "fake/1/0.png", "fake/.thumbs/1.png", "real/.hidden.png"):
        frames.picture(name)
    frames.picture("real/moving.gif")
    (frames.folder / "fake" / "film.mpg").write_bytes(b"")
    data = deepfake(folder=str(frames.folder))
    data.prepare()
    assert {(problem.kind, problem.id) for problem in data.problems.found} == {
        ("unreadable_image", "real/moving.gif"), ("unreadable_image", "fake/film.mpg")
    }  # fmt: skip
    assert sorted(data.samples["video"]) == sorted([
        "real/0.jpeg", "real/0.png", *(f"real/{n}" for n in range(1, 6)),
        "fake/0", "fake/1", "fake/1.png", "fake/1.webp", *(f"fake/{n}" for n in range(2, 6)),
    ])  # fmt: skip
    groups = data.samples.set_index("video")["group"]
    assert groups["real/0.jpeg"] == groups["real/0.png"] == groups["fake/0"] != groups["real/1"] == groups["fake/1.png"]


def test_links_out_of_the_folder_are_listed_once_and_not_followed(deepfake, frames, tmp_path):
    for number in range(4):
        frames.picture(f"real/{number}.png")
    frames.picture("fake/0.png").rename(tmp_path / "0.png")
    (frames.folder / "fake").rmdir()
    (frames.folder / "fake").symlink_to(tmp_path)
    (frames.folder / "real" / "more").symlink_to(tmp_path)
    data = deepfake(folder=str(frames.folder))
    with pytest.raises(ValueError):
        data.prepare()
    listed = [(problem.kind, problem.id) for problem in data.problems.found]
    assert ("unsafe_path", "fake") in listed and "more" in "".join(name for _, name in listed) and len(listed) == 2


def test_lists_without_that_of_the_training_rows_are_refused(deepfake, frames):
    for number in range(4):
        frames.picture(f"real/{number}.png")
        frames.picture(f"fake/{number}.png")
    frames.add("real/0.png", "real", "0", split="val", picture=False)
    with pytest.raises(SettingError, match="val_manifest") as refused:
        deepfake(folder=frames.write()).prepare()
    assert refused.value.key == "folder"


def test_neither_lists_nor_folders_are_refused(deepfake, tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(SettingError):
            deepfake(folder=str(folder)).prepare()
