"""The data module: splits, fingerprint, batches, augmentation, extra rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hallmark.data.augment import LightAugment
from hallmark.data.problems import BadDataError
from hallmark.data.sampling import SampleIndex
from hallmark.learning.encoders.base import ImageEncoder, TextEncoder
from hallmark.runs.metrics import MAIN
from hallmark.systems.sentiment.corpus import LATER_KINDS


class Picture(ImageEncoder):
    def __init__(self, size: int = 16) -> None:
        super().__init__(image_size=size, mean=[0.5] * 3, std=[0.5] * 3)


class Text(TextEncoder):
    def tokenize(self, texts):
        return {"lengths": torch.tensor([[len(text)] for text in texts])}


def fill(corpus, rows: int = 40) -> None:
    for number in range(rows):
        corpus.add(f"r{number}", ("negative", "neutral", "positive")[number % 3])
    corpus.write_list()


def batches(loader) -> list[dict]:
    return list(iter(loader))


def test_every_row_has_one_split_and_groups_are_whole(module_of):
    rows = module_of().samples
    assert set(rows["split"]) == {"train", "val", "test", "predict"}
    assert (rows["target"].isna() == (rows["split"] == "predict")).all()
    labeled = rows[rows["target"].notna()]
    assert (labeled.groupby("group")["split"].nunique() == 1).all()
    assert rows["id"].is_unique


def test_batches_hold_what_the_rows_hold(module_of):
    data = module_of()
    data.configure_inputs({"image": Picture(), "text": Text()}, None)
    rows = data.rows("val")
    batch = batches(data.eval_dataloader("val"))[0]
    assert batch["image"].shape == (len(rows), 3, 16, 16)
    assert batch["image"].dtype == torch.uint8
    assert batch["text"]["lengths"].squeeze(1).tolist() == [len(text) for text in data.texts("val")]
    assert [data.classes[MAIN][number] for number in batch["target"]] == rows["target"].tolist()
    with Image.open(rows["info_path"][0]) as picture:
        mean = np.asarray(picture.convert("RGB").resize((16, 16))).mean()
    assert abs(batch["image"][0].float().mean().item() - mean) < 12


def test_raw_texts_for_a_model_without_an_encoder(module_of):
    data = module_of()
    data.configure_inputs({"text": None}, None)
    assert batches(data.eval_dataloader("val"))[0]["text"] == data.texts("val")


def test_unlabelled_rows_have_the_target_minus_one(module_of):
    data = module_of()
    data.configure_inputs({"text": None}, None)
    targets = torch.cat([batch["target"] for batch in data.eval_dataloader("predict")])
    assert targets.tolist() == [-1] * 20


def test_training_batches_cover_an_epoch_in_an_order_of_seed_and_epoch(module_of):
    def order(seed: int, epoch: int) -> list[int]:
        data = module_of(seed=seed)
        data.configure_inputs({"text": None}, None)
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        return torch.cat([batch["index"] for batch in loader]).tolist()

    first = order(0, 0)
    n = len(module_of().rows("train"))
    assert len(set(first)) == len(first) == n - n % 16
    assert order(0, 0) == first
    assert order(0, 1) != first
    assert order(1, 0) != first


def test_augmentation_is_of_training_pictures_alone_and_by_seed(module_of):
    def pictures(split: str, seed: int, augment: LightAugment | None) -> torch.Tensor:
        data = module_of(augment=augment, seed=seed)
        data.configure_inputs({"image": Picture()}, None)
        return batches(data.train_dataloader() if split == "train" else data.eval_dataloader(split))[0]["image"]

    light = LightAugment(0.6, 0.5, 0.3)
    assert torch.equal(pictures("val", 0, light), pictures("val", 0, None))
    assert torch.equal(pictures("train", 0, light), pictures("train", 0, light))
    changed = (pictures("train", 0, light) != pictures("train", 0, None)).flatten(1).any(dim=1)
    assert changed.float().mean() > 0.9


def test_a_picture_that_cannot_be_read_is_grey(module_of, corpus, policy):
    fill(corpus)
    corpus.picture("r3").write_bytes(b"not a picture")
    data = module_of(corpus.folder, on_problem={**policy, "unreadable_image": "keep"}, batch_size=4)
    data.configure_inputs({"image": Picture()}, None)
    split = data.samples.set_index("id").loc["r3", "split"]
    row = data.rows(split)["id"].tolist().index("r3")
    pixels = torch.cat([batch["image"] for batch in data.eval_dataloader(split)])
    assert (pixels[row] == 128).all()
    assert (pixels != 128).flatten(1).any(dim=1).sum() == len(pixels) - 1


def test_fatal_rows_stop_with_their_list_and_others_are_written_down(module_of, corpus, policy, tmp_path):
    fill(corpus)
    corpus.picture("r3").unlink()
    corpus.text("r4").unlink()
    with pytest.raises(BadDataError, match=r"1 bad row:\n  missing_image: .*r3\.jpg"):
        module_of(corpus.folder, on_problem={**policy, "missing_image": "fatal"}, batch_size=4)
    data = module_of(corpus.folder, batch_size=4)
    data.check(tmp_path / "run")
    table = pd.read_csv(tmp_path / "run" / "problems.csv")
    assert table[["id", "kind", "policy"]].to_numpy().tolist() == [
        ["r4", "missing_text", "skip"], ["r3", "missing_image", "skip"],
    ]  # fmt: skip
    assert {"r3", "r4"}.isdisjoint(data.samples["id"])


def test_the_stored_configuration_of_an_earlier_run_knows_fewer_kinds_and_still_reads(module_of, corpus, policy):
    fill(corpus)
    corpus.text("r0").write_bytes("naïve café".encode("cp1252"))
    earlier = {kind: policy[kind] for kind in policy if kind not in LATER_KINDS}
    data = module_of(corpus.folder, on_problem=earlier, batch_size=4)
    assert [(problem.id, problem.kind) for problem in data.problems.found] == [("r0", "uncertain_encoding")]
    assert len(data.samples) == 40


def test_a_picture_that_vanishes_after_the_check_is_named(module_of, corpus, tmp_path):
    fill(corpus)
    data = module_of(corpus.folder, batch_size=4, cache=str(tmp_path / "cache"))
    data.configure_inputs({"image": Picture()}, None)
    gone = Path(data.rows("train")["info_path"].iloc[5])
    gone.rename(gone.with_suffix(".away"))
    with pytest.raises(OSError, match=f"^{gone}: no such file"):
        data.dataset("train")
    gone.with_suffix(".away").rename(gone)
    assert len(data.dataset("train")) == len(data.rows("train"))


def test_extra_rows_with_faults_are_listed_and_left_out(module_of, corpus, policy, tmp_path):
    fill(corpus)
    data = module_of(corpus.folder, batch_size=4)
    source = data.rows("train")["id"].iloc[0]
    good = {"id": "good", "source_id": source, "target": "positive", "image": str(corpus.picture(source)), "text": "x"}
    faults = [{"id": "gone", "image": str(tmp_path / "gone.jpg")}, {"id": "odd", "target": "angry"}, {"id": source}]
    pd.DataFrame([good, *({**good, **fault} for fault in faults)]).to_csv(tmp_path / "extra.csv", index=False)
    data = module_of(corpus.folder, batch_size=4, extra=str(tmp_path / "extra.csv"))
    assert sorted((problem.id, problem.kind) for problem in data.problems.found) == sorted(
        [("gone", "missing_image"), ("odd", "unknown_tag"), (source, "duplicate_id")]
    )
    assert (len(data.samples), data.samples["id"].is_unique) == (41, True)
    with pytest.raises(BadDataError, match="missing_image"):
        module_of(corpus.folder, batch_size=4, extra=str(tmp_path / "extra.csv"),
                  on_problem={**policy, "missing_image": "fatal"})  # fmt: skip


def test_the_fingerprint_knows_content_labels_and_splits_but_not_places(module_of, corpus, tmp_path):
    fill(corpus)
    before = module_of(corpus.folder, batch_size=4).fingerprint
    moved = corpus.folder.rename(tmp_path / "moved")
    assert module_of(moved, batch_size=4).fingerprint == before
    lines = (moved / "train.txt").read_text().splitlines()
    (moved / "train.txt").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    reordered = module_of(moved, batch_size=4)
    assert set(reordered.samples["id"]) == {f"r{number}" for number in range(40)}
    (moved / "train.txt").write_text("\n".join([lines[0], "r0,positive", *lines[2:]]) + "\n")
    assert module_of(moved, batch_size=4).fingerprint != before


def extra_table(folder, rows: list[dict[str, str]]) -> str:
    path = folder / "extra.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return str(path)


def test_extra_rows_train_in_the_group_of_their_source(module_of, corpus, tmp_path):
    fill(corpus)
    plain = module_of(corpus.folder, batch_size=4)
    source = plain.rows("train").iloc[0]
    row = {
        "id": "new",
        "source_id": source["id"],
        "target": source["target"],
        "image": source["info_path"],
        "text": "x y",
    }
    data = module_of(corpus.folder, batch_size=4, extra=extra_table(tmp_path, [row]))
    added = data.samples.set_index("id").loc["new"]
    assert (added["split"], added["group"], added["text"]) == ("train", source["group"], "x y")
    assert added["content"] != source["content"]
    assert len(data.rows("train")) == len(plain.rows("train")) + 1
    assert data.fingerprint != plain.fingerprint
    assert data.check(tmp_path / "run")["findings"] == 0
    assert data.metadata()["extra"][str(tmp_path / "extra.csv")]["rows"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source_id": "nobody"}, r"1 unknown sources, e\.g\. \['nobody'\]"),
        ({"drop": "text"}, "the columns id and source_id and target and image and text; found"),
    ],
)
def test_extra_rows_that_do_not_fit(module_of, corpus, tmp_path, change, message):
    fill(corpus)
    row = {
        "id": "new",
        "source_id": "r0",
        "target": "positive",
        "image": str(corpus.picture("r0")),
        "text": "x",
    } | change
    row.pop(row.pop("drop", ""), None)
    with pytest.raises(ValueError, match=message):
        module_of(corpus.folder, batch_size=4, extra=extra_table(tmp_path, [row]))


def test_a_policy_for_each_kind(module_of, policy):
    del policy["cmyk_image"]
    with pytest.raises(ValueError, match=r"on_problem=.*: expected a policy for each of .*cmyk_image"):
        module_of(on_problem=policy)


def test_models_read_marked_links_and_the_record_keeps_the_words(module_of) -> None:
    marked, raw = module_of(), module_of(mark_links=False)
    words = raw.texts("train")
    assert any("http://" in text for text in words)
    assert not any("http://" in text for text in marked.texts("train"))
    assert marked.rows("train")["info_text"].tolist() == words
    marked.configure_inputs({"text": None}, None)
    assert marked.dataset("val")[SampleIndex(0, 0)]["text"] == marked.texts("val")[:1]
