"""The data module of referring expressions: splits, gate, batches by image, perturbations, own pictures."""

import io
import pickle
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.systems.refseg.parts import BLUE, GREEN, RED, ColourProposer, Picture, rle_of

from hallmark.checks import SettingError
from hallmark.data.leakage import LeakageError
from hallmark.data.perturb import Blur, Noise
from hallmark.data.splits import Evaluation, split_summary
from hallmark.runs.access import LabelledRows
from hallmark.storage.hashing import digest, digest_bytes
from hallmark.systems.refseg.sample.world import generate

WORLD = [
    Picture("a", "val", {"red": RED, "the red": RED, "none": ()}),
    Picture("k", "calibration", {"green": GREEN}, drawn={"green": GREEN}),
    Picture("t", "test", {"blue": BLUE}, drawn={"blue": BLUE, "red": (10, 20, 8, 8)}),
    Picture("u", "", {"any": None}, drawn={"yellow": (2, 2, 15, 25)}),
    Picture("b", "val", {"blue": BLUE}, drawn={"blue": BLUE}),
]


def scenes(data, split: str, view=None) -> list:
    return [scene for batch in data.eval_dataloader(split, view) for scene in batch]


def test_every_image_of_a_split_once_with_all_that_is_said_of_it(data_of):
    data = data_of(WORLD, batch_size=1)
    val_scenes = scenes(data, "val")
    assert [[expression.sentence for expression in scene.expressions] for scene in val_scenes] == [
        ["red", "the red", "none"],
        ["blue"],
    ]
    assert [expression.id for expression in val_scenes[0].expressions] == ["a-0#0", "a-1#0", "a-2#0"]
    assert [expression.truth for expression in val_scenes[0].expressions] == [rle_of(RED), rle_of(RED), rle_of(())]
    assert np.array_equal(val_scenes[0].read(), WORLD[0].pixels()) and val_scenes[0].keeps
    assert [expression.truth for scene in scenes(data, "predict") for expression in scene.expressions] == [None]
    assert [len(batch) for batch in data_of(source=data.source, batch_size=5).eval_dataloader("val")] == [2]


def test_splits_record_and_gate(data_of, tmp_path):
    data = data_of(WORLD)
    assert split_summary(data.samples).keys() == {"val", "calibration", "test", "predict"}
    assert {name: part["n"] for name, part in split_summary(data.samples).items()} == {
        "val": 4, "calibration": 1, "test": 1, "predict": 1,
    }  # fmt: skip
    assert data.metadata() == {"source": str(tmp_path / "world"), "rows": 7, "images": 5}
    entry = data.check(tmp_path / "run")
    assert entry["findings"] == 0 and set(entry["checks"].values()) == {"clean"}
    assert pd.read_csv(tmp_path / "run" / "splits.csv")["id"].tolist() == data.samples["id"].tolist()


def test_the_seal_knows_a_row_by_image_and_words_and_not_by_its_mask(data_of, tmp_path):
    rows = []
    for name, box in (("before", RED), ("after", GREEN)):
        data = data_of([Picture("a", "test", {"red": box}), Picture("b", "val", {"red": RED})])
        data.write_splits(tmp_path / name)
        rows.append((data.content, LabelledRows.read(tmp_path / name)))
        shutil.rmtree(tmp_path / "world")
    assert rows[0][0] != rows[1][0]
    assert rows[0][1] == rows[1][1] and (len(rows[0][1].test), len(rows[0][1].other)) == (1, 1)


def test_equal_words_of_several_images_are_no_leak_but_one_image_in_two_splits_is(data_of, tmp_path):
    same = {"sentences": {"red": RED}}
    data = data_of([Picture("a", "val", **same), Picture("b", "test", **same, drawn={"blue": BLUE})])
    assert data.check(tmp_path / "run")["findings"] == 0
    image = (tmp_path / "world" / "a.png").read_bytes()
    (tmp_path / "world" / "b.png").write_bytes(image)
    with pytest.raises(LeakageError):
        data_of(source=data.source).check(tmp_path / "run")
    report = data_of(source=data.source, leakage="report").check(tmp_path / "run")
    assert report["findings"] > 0


def test_groups_are_images_under_the_split_by_shares(data_of, tmp_path):
    folder = generate(tmp_path / "sample", train=0, val=30, test=0, seed=3, synonyms=0.5)
    data = data_of(source=str(folder), split=Evaluation(calibration=0.2, test=0.3, seed=0))
    splits = data.samples.groupby("group")["split"].agg(["nunique", "first"])
    assert (splits["nunique"] == 1).all()
    assert splits["first"].value_counts().to_dict() == {"calibration": 6, "test": 9, "val": 15}
    categories = data.slice_categories()
    assert {"slice_size", "slice_category", "slice_kind", "slice_words"} == set(categories)
    assert categories["slice_words"] == ["known words", "unseen words"]
    other = data_of(source=str(folder), split=Evaluation(calibration=0.2, test=0.3, seed=1))
    assert other.fingerprint != data.fingerprint and other.content == data.content


def test_anchors_exchanged_keep_the_truth_and_change_the_words(data_of, tmp_path):
    folder = generate(tmp_path / "sample", train=0, val=30, test=0, seed=3, synonyms=0.0)
    split = Evaluation(calibration=0.2, test=0.2, seed=0)
    every, plain, shuffled = (
        data_of(source=str(folder), split=split, anchors=name) for name in (None, "own", "shuffled")
    )
    rows = every.samples.set_index("id")
    assert 0 < len(plain.samples) < len(rows)
    assert plain.samples["id"].tolist() == shuffled.samples["id"].tolist()
    original = rows.loc[plain.samples["id"]]
    assert plain.samples["sentence"].tolist() == original["sentence"].tolist()
    assert plain.samples["target"].tolist() == shuffled.samples["target"].tolist() == original["target"].tolist()
    sentences = [expression.sentence for scene in scenes(shuffled, "val") for expression in scene.expressions]
    in_val = original[original["split"] == "val"]
    assert sentences == in_val["shuffled"].tolist() and not set(sentences) & set(in_val["sentence"])
    assert shuffled.samples["info_sentence"].tolist() == original["shuffled"].tolist()


@pytest.mark.parametrize(("anchors", "message"), [("own", "only the sample world"), ("other", "null, own or shuffled")])
def test_anchors_that_cannot_be_exchanged(data_of, anchors, message):
    with pytest.raises(SettingError, match=message) as caught:
        data_of(WORLD, anchors=anchors)
    assert caught.value.key == "anchors"


def test_a_picture_is_perturbed_alike_each_time_and_has_another_name(data_of):
    clean = data_of(WORLD)
    noisy, again = (data_of(source=clean.source, perturbation=Noise(10.0)) for _ in range(2))
    plain, first, second = (scenes(data, "val")[0] for data in (clean, noisy, again))
    assert np.array_equal(first.read(), second.read()) and np.array_equal(first.read(), first.read())
    assert not np.array_equal(first.read(), plain.read())
    assert first.digest == second.digest != plain.digest
    assert plain.content() == (clean._corpus.pictures.content(0))
    assert plain.digest == digest_bytes(plain.content())
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(first.content()))), first.read())
    blurred = scenes(data_of(source=clean.source, perturbation=Blur(5)), "val")[0]
    assert len({plain.digest, first.digest, blurred.digest}) == 3
    assert noisy.fingerprint == clean.fingerprint


def test_two_images_have_their_own_noise(data_of):
    same = {"sentences": {"red": RED}}
    data = data_of([Picture("a", "val", **same), Picture("b", "val", **same)], perturbation=Noise(10.0))
    first, second = (scene.read().astype(int) for scene in scenes(data, "val"))
    assert (first[:-1] != second[:-1]).any()


def test_a_view_comes_after_the_perturbation_and_does_not_keep(data_of):
    data = data_of(WORLD, perturbation=Noise(10.0))

    def inverted(pixels, seed):
        return 255 - pixels

    plain, viewed = scenes(data, "val")[0], scenes(data, "val", inverted)[0]
    assert np.array_equal(viewed.read(), 255 - plain.read())
    assert not viewed.keeps and viewed.digest != plain.digest
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(viewed.content()))), viewed.read())


def test_pictures_and_proposals_of_a_row(data_of):
    data, proposer = data_of(WORLD), ColourProposer()
    data.configure_inputs({"image": None, "sentence": None, "proposals": proposer}, None)
    assert np.array_equal(data.picture("t-0#0"), WORLD[2].pixels())
    assert data.proposals("t-0#0").rles == [rle_of((10, 20, 8, 8)), rle_of(BLUE)]
    assert set(data.perturbations()) == {"noise", "blur", "jpeg", "crop", "scale"}


def test_own_pictures_are_rows_to_predict(data_of, tmp_path):
    folder = tmp_path / "own" / "images"
    folder.mkdir(parents=True)
    for name in ("cat.png", "dog.png"):
        Image.fromarray(Picture(name, "", {}).pixels()).save(folder / name)
    table = pd.DataFrame({"image": ["cat.png", "dog.png", "cat.png"], "expression": ["red", "left, ok", "blue"]})
    table.to_csv(tmp_path / "own" / "expressions.csv", index=False)
    data = data_of(source=str(tmp_path / "own"), split=Evaluation(calibration=0.3, test=0.3, seed=0))
    assert set(data.samples["split"]) == {"predict"} and len(data.samples) == 3
    assert [[expression.sentence for expression in scene.expressions] for scene in scenes(data, "predict")] == [
        ["red", "blue"], ["left, ok"],
    ]  # fmt: skip
    with pytest.raises(ValueError, match="split=val: the data has no such rows; it has predict"):
        data.eval_dataloader("val")


def test_labels_of_own_pictures_are_a_line_an_expression(data_of, tmp_path):
    data = data_of([Picture("a", "", {"red": None, "blue": None})])
    predictions = pd.DataFrame({
        "id": ["a-0#0", "a-1#0"] * 2, "task": ["main"] * 2 + ["one_shot"] * 2, "info_image": "a.png",
        "info_sentence": ["red", "blue"] * 2, "info_queries": '["red"]', "prediction": ["x", "y", "z", "z"],
        "confidence": 0.5,
    })  # fmt: skip
    written = pd.read_csv(data.write_labels(predictions, tmp_path / "run"))
    assert written["id"].tolist() == ["a-0#0", "a-1#0"] and written["prediction"].tolist() == ["x", "y"]
    assert written["info_sentence"].tolist() == ["red", "blue"]


def test_the_sample_world_is_generated_where_there_is_no_source(data_of, tmp_path):
    sample = {"train": 0, "val": 4, "test": 0, "seed": 5, "synonyms": 0.0}
    split = Evaluation(calibration=0.25, test=0.25, seed=0)
    data = data_of(sample=sample, split=split)
    assert (tmp_path / "data_cache" / "sample") in (tmp_path / "data_cache" / "sample").parent.iterdir()
    assert data.samples["group"].nunique() == 4
    assert data_of(sample=sample, split=split).fingerprint == data.fingerprint
    assert data_of(sample={**sample, "seed": 6}, split=split).fingerprint != data.fingerprint


def test_batches_can_go_to_other_processes(data_of):
    scene = pickle.loads(pickle.dumps(scenes(data_of(WORLD), "val")[0]))
    assert np.array_equal(scene.read(), WORLD[0].pixels())


def test_no_source_and_no_sample(data_of):
    with pytest.raises(SettingError, match="profile=sample, which generates some") as caught:
        data_of()
    assert caught.value.key == "source"


def test_a_missing_policy_is_named(data_of):
    with pytest.raises(SettingError, match="a policy for each of") as caught:
        data_of(WORLD, on_problem={"empty_mask": "keep"})
    assert caught.value.key == "on_problem"


def test_nothing_to_measure_or_to_predict(data_of):
    with pytest.raises(ValueError, match=r"data\.split: no rows in val"):
        data_of([Picture("t", "test", {"red": RED})])


def test_what_is_wrong_with_a_row_is_listed(data_of, tmp_path):
    broken = [*WORLD, Picture("x", "val", {"red": RED})]
    data = data_of(broken)
    (tmp_path / "world" / "x.png").write_bytes(b"no image")
    again = data_of(source=data.source)
    assert again.problems.counts() == {"unreadable_image": 1} and len(again.samples) == len(data.samples) - 1


def test_the_name_of_a_changed_image_is_the_same_in_every_process_and_tells_changes_apart(data_of):
    data = data_of(WORLD, batch_size=1)
    noise = data.perturbations()["noise"]
    name = scenes(data, "val", noise.at(2))[0].digest
    plain = scenes(data, "val")[0].digest
    assert name == digest([plain, 21, 0, "PerturbationView(name='noise', level=8)"])  # 21 is the seed, 0 the position
    views = [noise.at(1), noise.at(3), Blur(3), lambda pixels, seed: 255 - pixels, lambda pixels, seed: pixels]
    assert len({name, *(scenes(data, "val", view)[0].digest for view in views)}) == 6
