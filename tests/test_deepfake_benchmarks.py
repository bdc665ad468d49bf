"""What the benchmarks of the detectors select and compute, by hand."""

import numpy as np
import pandas as pd
import pytest
from benchmarks.deepfake_folder import write_folder
from benchmarks.deepfake_shuffled import shuffled
from benchmarks.deepfake_throughput import auroc_lost, by_stack, of_kind, saved
from PIL import Image

VIDEOS = pd.DataFrame({
    "id": ["a", "a_easy", "b", "b_hard", "c", "c_mid"],
    "group": ["a", "a", "b", "b", "c", "c"],
    "slice_method": ["real", "easy", "real", "hard", "real", "mid"],
    "target": ["real", "fake"] * 3,
    "info_stack": [0.1, 0.9, 0.2, 0.8, 0.3, 0.7],
    "probabilities": [[0.9, 0.1], [0.1, 0.9], [0.8, 0.2], [0.9, 0.1], [0.3, 0.7], [0.5, 0.5]],
})  # fmt: skip
VIDEOS.attrs["classes"] = {"video": ["real", "fake"]}


def test_a_kind_is_its_forgeries_and_the_real_videos_of_their_pairs():
    assert of_kind(VIDEOS, "easy and mid")["id"].tolist() == ["a", "a_easy", "c", "c_mid"]
    assert of_kind(VIDEOS, "hard")["id"].tolist() == ["b", "b_hard"]


def test_what_the_cascade_loses_is_the_auroc_of_its_stack_less_its_own():
    # Of the four pairs of a real and a forged video, the cascade puts c above c_mid.
    assert auroc_lost(of_kind(VIDEOS, "easy and mid")) == pytest.approx(0.25)
    assert auroc_lost(by_stack(VIDEOS)) == pytest.approx(0)


def test_throughput_is_that_of_both_parts_for_the_share_that_is_passed_on():
    cost = {"filter": 1.0, "stack": 10.0}
    assert saved(0.4, cost) == pytest.approx(2.0)
    assert saved(1.0, cost) == pytest.approx(10 / 11)


def test_a_coin_decides_which_video_of_a_pair_is_called_forged():
    pairs = [f"train_{number:04d}" for number in range(200)]
    rows = pd.DataFrame(
        [{"video": pair + end, "label": label, "method": end.strip("_"), "path": str(frame)}
         for pair in pairs for end, label in (("", "real"), ("_easy", "fake")) for frame in range(2)]
    )  # fmt: skip
    changed = shuffled(rows, np.random.default_rng(0))
    by_video = changed.groupby("video")["label"].unique()
    assert (by_video.map(len) == 1).all(), "all frames of a video have one label"
    labels = by_video.map(lambda names: names[0])
    forged = np.array([labels[pair] == "fake" for pair in pairs])
    assert all(labels[pair] != labels[f"{pair}_easy"] for pair in pairs)
    assert 70 < forged.sum() < 130
    assert "method" not in changed and changed["path"].equals(rows["path"])


def test_a_folder_has_as_many_pictures_of_either_class_and_forged_ones_are_smooth(tmp_path):
    write_folder(tmp_path, 8)
    roughness = {}
    for kind in ("real", "fake"):
        pictures = [np.asarray(Image.open(path), float) for path in sorted((tmp_path / kind).iterdir())]
        assert len(pictures) == 4 and pictures[0].shape == (256, 256, 3)
        roughness[kind] = np.mean([np.abs(np.diff(pixels, axis=0)).mean() for pixels in pictures])
    assert roughness["fake"] < 0.7 * roughness["real"]
