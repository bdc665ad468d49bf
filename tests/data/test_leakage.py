import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hallmark.data.images import scan_images
from hallmark.data.leakage import LeakageError, LeakageInputs, find_leaks, near_duplicates
from hallmark.data.names import WORD
from hallmark.data.text import normalize_text

Picture = Callable[..., Image.Image]


def thumbnails(images: list[Image.Image], folder: Path, *, quality: int | None = None) -> np.ndarray:
    paths = [folder / f"{number}.{'png' if quality is None else 'jpg'}" for number, _ in enumerate(images)]
    for image, path in zip(images, paths, strict=True):
        image.save(path, **({} if quality is None else {"quality": quality}))
    keys = [f"{quality or 0:04d}{number:028d}" for number, _ in enumerate(images)]
    return scan_images(paths, keys, folder / "cache")["thumbnail"]


def resized(image: Image.Image, factor: float) -> Image.Image:
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS)


@pytest.mark.parametrize(("quality", "factor"), [(40, 1.0), (85, 0.5), (40, 0.5), (90, 1.7)])
def test_every_reencoded_or_resized_picture_is_found_and_no_other(
    tmp_path: Path, picture: Picture, quality: int, factor: float
) -> None:
    originals = [picture(seed, (200 + 10 * seed, 180)) for seed in range(30)]
    copies = [resized(image, factor) for image in originals]
    both = np.concatenate([thumbnails(originals, tmp_path), thumbnails(copies, tmp_path, quality=quality)])
    pairs = sorted(map(tuple, near_duplicates(both).tolist()))
    assert pairs == [(row, row + 30) for row in range(30)]


def test_flat_pictures_of_other_colors_are_not_alike_and_those_of_one_color_are(tmp_path: Path) -> None:
    colors = [(255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 255, 0), (128, 128, 128), (150, 150, 150), (90, 120, 200)]
    flat = [Image.new("RGB", (64, 64), color) for color in colors]
    once = thumbnails(flat, tmp_path)
    assert len(near_duplicates(once)) == 0
    both = np.concatenate([once, thumbnails(flat, tmp_path, quality=40)])
    assert near_duplicates(both).tolist() == [[row, row + len(flat)] for row in range(len(flat))]


def test_pairs_are_found_across_the_blocks_of_the_search(picture: Picture) -> None:
    rng = np.random.default_rng(0)
    many = rng.integers(0, 256, (2100, 32, 32, 3), dtype=np.uint8)
    many[[1023, 1024, 2099]] = np.asarray(picture(0).resize((32, 32)))
    assert near_duplicates(many).tolist() == [[1023, 1024], [1023, 2099], [1024, 2099]]
    assert near_duplicates(many[:0]).shape == (0, 2)


def leakage_inputs(rows: list[dict], **changes: object) -> LeakageInputs:
    """Rows give split and, where they matter, id, group, file and text; everything else is unique."""
    samples = pd.DataFrame({
        "id": [row.get("id", f"row{number}") for number, row in enumerate(rows)],
        "split": [row["split"] for row in rows],
        "group": [row.get("group", f"group{number}") for number, row in enumerate(rows)],
    })  # fmt: skip
    files = [row.get("file", f"file{number}") for number, row in enumerate(rows)]
    texts = [normalize_text(row.get("text", f"text {number}")) for number, row in enumerate(rows)]
    return LeakageInputs(**{"samples": samples, "grouped": True, "files": {"image": files}, "texts": texts, **changes})


PLANTED = {
    "id": [{"split": "train", "id": "twice"}, {"split": "test", "id": "twice"}],
    "group": [{"split": "train", "group": "anna"}, {"split": "val", "group": "anna"}],
    "identical image": [{"split": "val", "file": "f"}, {"split": "test", "file": "f"}],
    "duplicate text": [{"split": "train", "text": "RT @a: HAPPY today!"}, {"split": "test", "text": "happy today"}],
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_leak_is_found_and_listed(kind: str) -> None:
    others = [{"split": split} for split in ("train", "train", "val", "test")]
    findings, verdicts, *_ = find_leaks(leakage_inputs([*others, *PLANTED[kind]]))
    first, second = PLANTED[kind]
    assert findings.to_dict("records") == [{
        "kind": kind, "first_id": first.get("id", "row4"), "first_split": first["split"],
        "second_id": second.get("id", "row5"), "second_split": second["split"],
    }]  # fmt: skip
    checks = [*PLANTED, "near-duplicate text"]
    assert verdicts == {name: "found" if name == kind else "clean" for name in checks}


def test_a_reencoded_image_across_splits_is_found(tmp_path: Path, picture: Picture) -> None:
    buffer = io.BytesIO()
    picture(3).save(buffer, "JPEG", quality=40)
    images = [picture(1), picture(2), picture(3), Image.open(buffer)]
    pixels = thumbnails(images, tmp_path)
    rows = [{"split": "train"}, {"split": "val"}, {"split": "val"}, {"split": "test"}]
    findings, verdicts, *_ = find_leaks(leakage_inputs(rows, thumbnails=pixels))
    assert verdicts["near-duplicate image"] == "found"
    assert findings[["kind", "first_id", "first_split", "second_id", "second_split"]].to_numpy().tolist() == [
        ["near-duplicate image", "row2", "val", "row3", "test"]
    ]
    pixels[2:] = 0
    _, verdicts, *_ = find_leaks(
        leakage_inputs(rows, thumbnails=pixels, comparable=np.array([True, True, False, True]))
    )
    assert verdicts["near-duplicate image"] == "clean"


def test_sharing_within_a_split_is_no_leak() -> None:
    alike = {"split": "train", "group": "anna", "file": "f", "text": "same words"}
    findings, verdicts, *_ = find_leaks(leakage_inputs([alike, alike, {"split": "val"}]))
    assert findings.empty and set(verdicts.values()) == {"clean"}


def test_a_leak_is_found_behind_copies_within_its_split() -> None:
    rows = [{"split": split, "text": "same words"} for split in ("train", "train", "train", "test")]
    findings, _, *_ = find_leaks(leakage_inputs(rows))
    assert findings["second_id"].tolist() == ["row3"]


def test_without_groups_the_group_check_is_unknown_not_clean() -> None:
    findings, verdicts, *_ = find_leaks(leakage_inputs(PLANTED["group"], grouped=False))
    assert findings.empty and verdicts["group"] == "unknown"


def test_unlabelled_rows_and_empty_texts_are_left_out() -> None:
    shared = {"id": "x", "group": "anna", "file": "f", "text": "same words"}
    findings, _, *_ = find_leaks(leakage_inputs([{"split": "train", **shared}, {"split": "predict", **shared}]))
    assert findings.empty
    findings, _, *_ = find_leaks(leakage_inputs([{"split": "train", "text": "😀"}, {"split": "test", "text": "!!"}]))
    assert findings.empty


def test_kinds_that_a_system_lacks_are_not_called_clean() -> None:
    _, verdicts, *_ = find_leaks(leakage_inputs([{"split": "train"}, {"split": "val"}], files={}, texts=None))
    assert verdicts == {"id": "clean", "group": "clean"}


def test_the_error_counts_lists_and_advises() -> None:
    rows = [{"split": split, "file": f"f{number}"} for split in ("train", "test") for number in range(25)]
    findings, _, *_ = find_leaks(leakage_inputs([*rows, *PLANTED["id"]]))
    error = LeakageError(findings)
    assert error.findings is findings
    lines = str(error).splitlines()
    assert lines[0] == "leakage between splits: 25 identical image, 1 id"
    assert "  id: twice (train) ~ twice (test)" in lines
    assert len([line for line in lines if " ~ " in line]) == 20
    assert "6 more in leakage.csv" in lines[-2]
    assert "data.leakage=report" in lines[-1]


def test_the_message_lists_some_pairs_of_each_kind() -> None:
    pairs = [("signals", number) for number in range(300)] + [("subject", number) for number in range(3)]
    findings = pd.DataFrame(
        [(f"identical {kind}", f"a{n}", "train", f"b{n}", "val") for kind, n in pairs],
        columns=["kind", "first_id", "first_split", "second_id", "second_split"],
    )
    lines = str(LeakageError(findings)).splitlines()
    assert lines[0] == "leakage between splits: 300 identical signals, 3 identical subject"
    assert sum("identical signals:" in line for line in lines) == 17
    assert sum("identical subject:" in line for line in lines) == 3
    assert "283 more in leakage.csv" in lines[-2]


LONG = "february winter rainy stormy windy tuesday night love happy calm"


def test_texts_in_nearly_the_same_words_are_found() -> None:
    rows = [{"split": "train", "text": LONG}, {"split": "val", "text": f"RT @a: {LONG} coffee!"}, {"split": "test"}]
    findings, verdicts, *_ = find_leaks(leakage_inputs(rows))
    assert findings[["kind", "first_id", "second_id"]].to_numpy().tolist() == [["near-duplicate text", "row0", "row1"]]
    assert verdicts["duplicate text"] == "clean"


def test_what_rows_to_predict_share_is_counted_and_stops_nothing() -> None:
    rows = [
        {"split": "predict", "text": f"{LONG} tea", "group": "anna"},
        {"split": "train", "text": LONG, "group": "anna"},
        {"split": "val", "text": "five other words for validation", "file": "f"},
        {"split": "predict", "file": "f"},
        {"split": "predict"},
    ]
    findings, verdicts, predict, _ = find_leaks(leakage_inputs(rows))
    assert findings.empty and set(verdicts.values()) == {"clean"}
    assert predict == {
        "rows": 3,
        "shared": 2,
        "kinds": {"group": {"train": 1}, "identical image": {"val": 1}, "near-duplicate text": {"train": 1}},
    }


def test_a_row_to_predict_hides_no_leak_between_those_like_it() -> None:
    rows = [{"split": split, "text": "same words"} for split in ("predict", "train", "test")]
    findings, _, predict, _ = find_leaks(leakage_inputs(rows))
    assert findings[["first_id", "second_id"]].to_numpy().tolist() == [["row1", "row2"]]
    assert predict["kinds"] == {"duplicate text": {"test": 1, "train": 1}}


def test_the_entry_of_the_record_says_what_each_check_looks_for(picture: Picture) -> None:
    pixels = np.stack([np.asarray(picture(seed).resize((32, 32))) for seed in range(2)])
    leaks = find_leaks(leakage_inputs([{"split": "train"}, {"split": "val"}], thumbnails=pixels))
    entry = leaks.entry()
    assert set(entry["looked_for"]) == set(entry["checks"]) >= {"near-duplicate image", "near-duplicate text"}
    assert "mirrored" in entry["looked_for"]["near-duplicate image"]
    assert "rotated" in entry["not_reached"]["near-duplicate image"]


@pytest.mark.parametrize(("kinds", "advised"), [
    ([WORD], {"names"}), (["identical image"], {"split"}), ([WORD, "identical image"], {"names", "split"}),
])  # fmt: skip
def test_the_advice_is_for_every_kind_of_leak(kinds, advised):
    row = {"first_id": "a", "first_split": "train", "second_id": "b", "second_split": "val"}
    advice = str(LeakageError(pd.DataFrame([{"kind": kind, **row} for kind in kinds]))).splitlines()[-1]
    assert {word for word in ("names", "split") if word in advice} == advised
