from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch.utils.data import Dataset

from hallmark.checks import SettingError
from hallmark.data.leakage import LeakageError, LeakageInputs
from hallmark.data.module import DataModule
from hallmark.data.problems import BadDataError, Problems
from hallmark.data.sampling import SampleIndex, Transform
from hallmark.data.splits import FromFile, Holdout, split_summary
from hallmark.runs.metrics import MAIN


class ToyDataset(Dataset):
    def __init__(self, rows: pd.DataFrame, transform: Transform | None) -> None:
        self.transform = transform
        self.x = torch.tensor(rows["x"].to_numpy(), dtype=torch.float32)

    def __len__(self) -> int:
        return len(self.x)

    def __getitems__(self, draws: Sequence[SampleIndex]) -> dict[str, Any]:
        x = self.x[[draw.position for draw in draws]]
        if self.transform is not None:
            x = torch.stack([self.transform(row, draw.seed) for row, draw in zip(x, draws, strict=True)])
        return {"x": x, "seeds": [draw.seed for draw in draws]}


class ToyData(DataModule):
    def __init__(self, table: pd.DataFrame, **changes: Any) -> None:
        common = {"classes": {MAIN: ["a", "b"]}, "batch_size": 4, "num_workers": 0, "augment": None,
                  "split": Holdout(0.2, 0.2, 0), "leakage": "stop", "seed": 0}  # fmt: skip
        super().__init__(**{**common, **changes})
        self.table = table

    def read(self) -> tuple[pd.DataFrame, Problems]:
        problems = Problems({"odd": "skip", "bad": "fatal"}, repairable=[])
        for row in self.table.itertuples():
            if row.problem:
                problems.add(row.id, row.problem, f"{row.id} is {row.problem}")
        return self.table[self.table["problem"] == ""].reset_index(drop=True), problems

    def metadata(self) -> dict[str, Any]:
        return {"source": "toy.csv"}

    def leakage_inputs(self) -> LeakageInputs:
        return LeakageInputs(self.samples, grouped=True, files={"signal": self.samples["content"].tolist()})

    def dataset(self, split: str, transform: Transform | None = None) -> Dataset:
        return ToyDataset(self.rows(split), transform)

    def configure_inputs(self, inputs: Mapping[str, Any], store: Any) -> None:
        pass


def table(n: int = 60, unlabelled: int = 5) -> pd.DataFrame:
    return pd.DataFrame({
        "id": [f"r{number}" for number in range(n)], "group": [f"g{number}" for number in range(n)],
        "target": [None if number < unlabelled else "ab"[number % 2] for number in range(n)],
        "content": [f"c{number}" for number in range(n)], "x": range(n), "problem": "",
    })  # fmt: skip


def prepared(frame: pd.DataFrame | None = None, **changes: Any) -> ToyData:
    data = ToyData(table() if frame is None else frame, **changes)
    data.prepare()
    return data


def test_unlabelled_rows_are_for_prediction_and_the_others_are_split() -> None:
    data = prepared()
    assert data.rows("predict")["id"].tolist() == ["r0", "r1", "r2", "r3", "r4"]
    assert {split: facts["n"] for split, facts in split_summary(data.samples).items()} == {
        "predict": 5, "train": 33, "val": 11, "test": 11,
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"split=calibration: .*it has predict, test, train, val"):
        data.rows("calibration")


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"classes": {MAIN: ["a", "a"]}}, "classes"), ({"classes": {"state": ["a"]}}, "classes.state"),
        ({"batch_size": 0}, "batch_size"),
        ({"num_workers": -1}, "num_workers"), ({"leakage": "ignore"}, "leakage"),
    ],
)  # fmt: skip
def test_nonsense_names_its_key(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(SettingError) as caught:
        ToyData(table(), **changes)
    assert caught.value.key == key


def test_data_that_cannot_be_trained_on_is_refused() -> None:
    with pytest.raises(ValueError, match=r"toy\.csv: no usable rows"):
        prepared(table().iloc[:0])
    with pytest.raises(ValueError, match=r"only one class \(a\)"):
        prepared(table().assign(target="a"))
    with pytest.raises(SettingError, match="batch_size=34: expected at most the 33 training rows"):
        prepared(batch_size=34)
    bad = table()
    bad.loc[7, "problem"] = "bad"
    with pytest.raises(BadDataError, match="r7 is bad"):
        prepared(bad)


@pytest.mark.parametrize(
    ("column", "cells"),
    [("id", 5), ("group", None), ("group", 2.0), ("content", None), ("target", 1), ("target", "c")]
)  # fmt: skip
def test_rows_that_are_not_as_read_has_to_give_them_are_refused(column: str, cells: Any) -> None:
    with pytest.raises(ValueError, match=rf"\.read: no column {column}"):
        prepared(table().drop(columns=column))
    with pytest.raises(ValueError, match=rf"\.read: {column} holds "):
        prepared(table().assign(**{column: cells}))


def test_errors_of_the_plan_carry_its_place(tmp_path: Path) -> None:
    with pytest.raises(SettingError) as caught:
        prepared(split=FromFile(str(tmp_path / "none.csv")))
    assert caught.value.key == "split.path"


@pytest.mark.parametrize(("first", "second"), list(combinations(["train", "val", "calibration", "meta", "test"], 2)))
def test_the_gate_compares_each_pair_of_splits(tmp_path: Path, first: str, second: str) -> None:
    frame = table(unlabelled=0)
    names = np.array(["train", "val", "calibration", "meta", "test"])[np.arange(len(frame)) // 2 % 5]
    frame.assign(split=names)[["id", "split"]].to_csv(tmp_path / "split.csv", index=False)
    copied, copy = (int(np.flatnonzero(names == split)[0]) for split in (first, second))
    frame.loc[copy, "content"] = frame.loc[copied, "content"]
    with pytest.raises(LeakageError) as caught:
        prepared(frame, split=FromFile(str(tmp_path / "split.csv"))).check(tmp_path)
    (pair,) = caught.value.findings.itertuples()
    assert {pair.first_split, pair.second_split} == {first, second}


def test_check_writes_splits_and_problems_and_reports_verdicts(tmp_path: Path) -> None:
    frame = table()
    frame.loc[7, "problem"] = "odd"
    data = prepared(frame)
    entry = data.check(tmp_path)
    assert (entry["action"], entry["findings"]) == ("stop", 0)
    assert entry["checks"] == {"id": "clean", "group": "clean", "identical signal": "clean"}
    assert entry["predict"] == {"rows": 5, "shared": 0, "kinds": {}}
    written = pd.read_csv(tmp_path / "splits.csv")
    assert written["split"].tolist() == data.samples["split"].tolist()
    assert written["content"].tolist() == data.samples["content"].tolist()
    data.samples["source"] = [f"source of {row}" for row in data.samples["id"]]  # what does not depend on settings
    data.write_splits(tmp_path)
    assert pd.read_csv(tmp_path / "splits.csv")["content"].tolist() == data.samples["source"].tolist()
    assert pd.read_csv(tmp_path / "problems.csv")["id"].tolist() == ["r7"]
    assert not (tmp_path / "leakage.csv").exists()


def test_a_leak_stops_with_its_list_or_is_reported(tmp_path: Path) -> None:
    stopping = prepared()
    train_id, val_id = stopping.rows("train")["id"][0], stopping.rows("val")["id"][0]
    leaky = table()
    leaky.loc[leaky["id"] == val_id, "content"] = leaky.loc[leaky["id"] == train_id, "content"].item()
    with pytest.raises(LeakageError, match="1 identical signal"):
        prepared(leaky).check(tmp_path / "stop")
    listed = pd.read_csv(tmp_path / "stop" / "leakage.csv")
    assert {listed["first_id"].item(), listed["second_id"].item()} == {train_id, val_id}
    verdict = prepared(leaky, leakage="report").check(tmp_path / "report")
    assert verdict["action"] == "report" and verdict["findings"] == 1
    assert verdict["checks"]["identical signal"] == "found"
    assert (tmp_path / "report" / "leakage.csv").exists()


def test_the_fingerprint_is_of_content_label_and_split_alone() -> None:
    original = prepared().fingerprint
    assert prepared(batch_size=8, seed=5).fingerprint == original
    shuffled = prepared()
    shuffled.samples = shuffled.samples.sample(frac=1, random_state=0)
    assert shuffled.fingerprint == original
    for column, value in (("content", "other"), ("target", "a"), ("split", "test"), ("id", "other")):
        changed = prepared()
        row = changed.samples.index[(changed.samples["split"] == "train") & (changed.samples["target"] == "b")][0]
        changed.samples.loc[row, column] = value
        assert changed.fingerprint != original, column


def test_the_content_is_of_labelled_rows_whatever_their_split_and_name() -> None:
    original = prepared().content
    same = table().sample(frac=1, random_state=0).assign(id=lambda rows: "other " + rows["id"])
    assert prepared(same, split=Holdout(0.3, 0.1, 5)).content == original
    assert prepared(table()[lambda rows: rows["target"].notna()]).content == original
    for column, value in (("content", "other"), ("target", "a")):
        changed = table()
        changed.loc[changed["id"] == "r7", column] = value
        assert prepared(changed).content != original, column
    assert prepared(table().iloc[:-1]).content != original


def test_rows_added_from_elsewhere_do_not_change_the_content() -> None:
    class Extended(ToyData):
        def add_rows(self, samples: pd.DataFrame) -> pd.DataFrame:
            return pd.concat([samples, samples.iloc[-1:].assign(id="more", content="more", split="train")])

    data = Extended(table())
    data.prepare()
    assert len(data.samples) == len(prepared().samples) + 1
    assert data.content == prepared().content


@pytest.mark.parametrize("split", ["train", "val"])
def test_evaluation_reads_every_row_once_in_order_without_augmentation(split: str) -> None:
    data = prepared(augment=lambda x, seed: x + 1000)
    batches = list(data.eval_dataloader(split))
    assert torch.cat([batch["x"] for batch in batches]).tolist() == data.rows(split)["x"].tolist()


def test_an_evaluation_reads_so_many_rows_a_step() -> None:
    data = prepared()
    data.eval_batch_size = 7
    for loader in (data.eval_dataloader("train"), data.val_dataloader()):
        assert max(len(batch["x"]) for batch in loader) <= 7
    assert len(next(iter(data.eval_dataloader("train")))["x"]) == 7


def test_a_part_has_the_rows_at_its_positions_alone() -> None:
    data = prepared()
    expected, size = data.samples.iloc[[5, 2]]["id"].tolist(), len(data.samples)
    assert data.part([5, 2]).samples["id"].tolist() == expected and len(data.samples) == size


def test_new_files_without_an_answer_are_those_with_a_problem_and_no_row() -> None:
    class NewFiles(ToyData):
        def read_new(self, inputs: Sequence[Path]) -> tuple[pd.DataFrame, Problems]:
            problems = Problems({"unreadable": "skip", "gray": "keep"}, repairable=["gray"])
            for name, kind in (("r0", "gray"), ("a", "unreadable"), ("a", "gray")):
                problems.add(name, kind, name)
            return self.table.head(2) if inputs else self.table.head(0), problems

    data = NewFiles(table())
    data.prepare_new([Path("r0")])
    assert data.samples["split"].tolist() == ["predict"] * 2
    assert data.unanswered().to_numpy().tolist() == [["a", "unreadable"]]
    data.prepare_new([])
    assert data.samples.empty and data.unanswered()["id"].tolist() == ["r0", "a"]


def test_a_view_changes_each_row_by_a_seed_of_its_own() -> None:
    data = prepared()
    first, again = (list(data.eval_dataloader("val", lambda x, seed: x + seed % 1000)) for _ in range(2))
    seeds = [seed for batch in first for seed in batch["seeds"]]
    assert len(set(seeds)) == len(seeds) == len(data.rows("val"))
    expected = data.rows("val")["x"].to_numpy() + np.array(seeds) % 1000
    np.testing.assert_allclose(torch.cat([batch["x"] for batch in first]), expected, rtol=1e-6)
    assert [batch["seeds"] for batch in again] == [batch["seeds"] for batch in first]


def test_training_rows_are_augmented() -> None:
    data = prepared(augment=lambda x, seed: x + 1000)
    assert min(x for batch in data.train_dataloader() for x in batch["x"].tolist()) >= 1000


def test_labels_are_written_for_unlabelled_rows(tmp_path: Path) -> None:
    predictions = pd.DataFrame({"id": ["r0", "r1"], "task": "main", "prediction": ["a", "b"], "confidence": [1.0, 0.5]})
    path = prepared().write_labels(predictions, tmp_path)
    assert path.read_text() == "id,prediction\nr0,a\nr1,b\n"


def test_labels_of_several_tasks_are_a_column_each(tmp_path: Path) -> None:
    predictions = pd.DataFrame({
        "id": ["r1", "r0", "r0", "r1"], "task": ["state", "state", "action", "action"], "prediction": list("abcd"),
    })  # fmt: skip
    path = prepared().write_labels(predictions, tmp_path)
    assert path.read_text() == "id,state,action\nr1,a,d\nr0,b,c\n"


class Reader(LightningModule):
    """Notes what it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen: list[tuple[int, list[float], list[int]]] = []

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        self.seen.append((self.current_epoch, batch["x"].tolist(), batch["seeds"]))
        return self.layer(batch["x"][:, None]).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-6)


class Leave(Callback):
    """Saves a checkpoint after `step` and leaves; at the end of an epoch where Lightning's own callbacks save."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._leave(trainer)

    def on_train_epoch_end(self, trainer: Trainer, *_: Any) -> None:
        self._leave(trainer)

    def _leave(self, trainer: Trainer) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            raise KeyError("left")


def fit(reader: Reader, data: DataModule, *callbacks: Callback, resume: Path | None = None) -> Reader:
    trainer = Trainer(
        accelerator="cpu", max_epochs=3, limit_val_batches=0, callbacks=list(callbacks), logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(reader, datamodule=data, ckpt_path=resume, weights_only=True)
    return reader


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("step", "workers"), [(1, 0), (11, 0), (8, 0), (11, 1), (16, 1)])
def test_a_resumed_fit_reads_on_exactly_where_it_was_left(tmp_path: Path, step: int, workers: int) -> None:
    uninterrupted = fit(Reader(), prepared()).seen
    assert len(uninterrupted) == 24 and {epoch for epoch, _, _ in uninterrupted} == {0, 1, 2}
    left = Reader()
    with pytest.raises(KeyError):
        fit(left, prepared(num_workers=workers), Leave(step, tmp_path / "last.ckpt"))
    resumed = fit(Reader(), prepared(num_workers=workers), resume=tmp_path / "last.ckpt")
    assert left.seen + resumed.seen == uninterrupted
