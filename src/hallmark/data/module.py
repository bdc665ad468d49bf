"""What every system's data module is: samples, split, gate, loaders."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from hallmark.checks import UserError, require, setting
from hallmark.data.inheritance import inherited_leaks
from hallmark.data.leakage import LeakageError, LeakageInputs, Leaks, find_leaks
from hallmark.data.problems import Problems, listed_id
from hallmark.data.sampling import EpochSampler, SampleIndex, Transform, eval_batches
from hallmark.data.splits import SplitPlan, check_splits, target_column
from hallmark.runs.metrics import MAIN, UNLABELLED
from hallmark.runs.parents import InheritedRows
from hallmark.storage.files import write_csv
from hallmark.storage.hashing import digest
from hallmark.storage.requirements import Requirement
from hallmark.storage.seeds import fold_in_many
from hallmark.storage.unchanged import state_of

if TYPE_CHECKING:
    from hallmark.data.perturb import Perturbation
    from hallmark.features.store import FeatureStore

Series = tuple[NDArray, Sequence[str], float]
"""Signals float [N, C, T] in physical units, nan where not measured; the channels' names; samples a second."""

_TRANSFORM_SEED = 20


class DataModule(LightningDataModule, ABC):
    """Base of the systems' data modules.

    The engine calls `prepare` (read and split), `check` (leakage gate) and `configure_inputs` (what the model wants
    to see), then Lightning asks for loaders. `samples` holds one row a sample with the columns id,
    group, target (None if unlabelled), split, content (hash of all that the sample is made of),
    `slice_*` and `info_*`. Where that hash depends on settings or labels too, a column source holds one that does not.
    With several tasks each has a column `target_<task>`, and `target` is what the split is stratified by.

    Args:
        classes: by task, class names in the order of the logits; the task of a single-task system is `main`.
        batch_size: samples a step of one process; on several devices each process takes as many.
        num_workers: loader processes; 0 reads in the training process.
        augment: training-time augmentation; None for none.
        split: who trains, selects and tests.
        leakage: `stop` on a finding of the gate, or `report` it in the record.
        seed: of the sample order and the augmentation.

    Attributes:
        eval_batch_size: samples a step of an evaluation: more than of a fit, because no activations are kept.
        content: hash of every labelled sample's content and label, whatever its id and its split; rows added by
            `add_rows` are left out. The test seal knows a data set by it.
        generated: what the data is called if this project has generated it; None for a user's own.
        read_from: what `prepare` has read, and `read_state` the state that it was in; None where that is not known.
    """

    generated: str | None = None

    def __init__(
        self, *, classes: Mapping[str, Sequence[str]], batch_size: int, num_workers: int, augment: Transform | None,
        split: SplitPlan, leakage: str, seed: int,
    ) -> None:  # fmt: skip
        super().__init__()
        for task, names in classes.items():
            key = "classes" if task == MAIN else f"classes.{task}"
            require(len(set(names)) == len(names) > 1, key, list(names), "two or more different names")
        require(batch_size >= 1, "batch_size", batch_size, "at least 1")
        require(num_workers >= 0, "num_workers", num_workers, "at least 0")
        require(leakage in ("stop", "report"), "leakage", leakage, "stop or report")
        self.classes = {task: list(names) for task, names in classes.items()}
        self.batch_size, self.num_workers, self.augment, self.seed = batch_size, num_workers, augment, seed
        self.eval_batch_size = 4 * batch_size
        self.split_plan, self.leakage_action = split, leakage
        self.samples = pd.DataFrame()
        self.content = ""
        self.read_from: list[Path] = []
        self.read_state: str | None = None
        self.__skip = 0

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """What a data module of these arguments needs from outside: a folder in its layout, a data set."""
        return []

    @classmethod
    def reader(cls) -> "type[DataModule]":
        """The class by whose hashes rows are known; a subclass that reads as its base does gives that base."""
        return cls

    @abstractmethod
    def read(self) -> tuple[pd.DataFrame, Problems]:
        """All usable samples (every column but split) and what was found wrong with the others."""

    def read_new(self, inputs: Sequence[Path]) -> tuple[pd.DataFrame, Problems]:
        """Rows of files that are to be predicted, with the columns of `read`, and what was found wrong with the others.

        Raises:
            UserError: no data module of this class reads new files.
        """
        raise UserError(f"{type(self).__name__}: this system reads no new files; split=predict is for unlabelled rows")

    def unanswered(self) -> pd.DataFrame:
        """What new files have no answer, each once: its `id`, and `problem`, what was found wrong with it, in words.

        By default what is listed in `problems` and is none of `samples`.
        """
        listed = self.problems.table().drop_duplicates("id")
        rows = listed[~listed["id"].isin(self.samples["id"].map(listed_id))]
        return rows.assign(problem=rows["kind"].str.replace("_", " "))[["id", "problem"]]

    def sources(self) -> Sequence[Path] | None:
        """Files and folders that hold all that `read` reads; None where that is not known, and a finished run is then
        found done only by reading its data again."""
        return None

    @abstractmethod
    def metadata(self) -> dict[str, Any]:
        """`source` (where the data comes from) and what else the record should say of it."""

    @abstractmethod
    def leakage_inputs(self) -> LeakageInputs:
        """What the leakage gate compares, for `samples`."""

    @abstractmethod
    def dataset(self, split: str, transform: Transform | None = None) -> Dataset:
        """Samples of a split, their raw inputs changed by `transform`; `__getitems__(indices)` reads a whole batch."""

    @abstractmethod
    def configure_inputs(self, inputs: Mapping[str, Any], store: "FeatureStore | None") -> None:
        """Say what the model wants to see: its encoder for each modality, or None for raw content.

        With a `store`, outputs of frozen encoders take the place of their inputs.
        """

    def slice_categories(self) -> dict[str, list[str]]:
        """All categories of each `slice_*` column in order, those without a row included."""
        return {}

    def perturbations(self) -> "Mapping[str, Perturbation]":
        """Perturbations of the inputs that `configure_inputs` chose, by name; {} where none is known."""
        return {}

    def series(self, split: str, positions: Sequence[int]) -> Series | None:
        """Signals of the rows of `split` at `positions`, for pictures of them; None where samples are none."""
        return None

    def warnings(self) -> list[str]:
        """Sentences about `samples` that stop no fit, such as what tells their classes apart beside their content;
        a fit prints them when it starts, and `hallmark check-data`."""
        return []

    def prepare(self) -> None:
        """Read and split.

        Raises:
            ValueError: nothing to train on, one class only, no validation rows, a fatal bad row.
        """
        files, split_files = self.sources(), self.split_plan.files()
        if files is not None and split_files is not None:
            self.read_from = [*files, *split_files]
            self.read_state = state_of(self.read_from)  # of before they are read
        samples, self.problems = self.read()
        self.problems.raise_if_fatal()
        if samples.empty:
            raise ValueError(f"{self.metadata()['source']}: no usable rows")
        self.__check_columns(samples)
        labelled = samples["target"].notna()
        self.samples = samples  # to be counted, where they cannot be split
        with setting("split"):
            names = self.split_plan.assign(samples[labelled].reset_index(drop=True))
        samples["split"] = UNLABELLED
        samples.loc[labelled, "split"] = names
        self.content = digest(sorted(samples.loc[labelled, ["content", "target"]].astype(str).to_numpy().tolist()))
        self.samples = self.add_rows(samples).reset_index(drop=True)
        self.check_samples()

    def prepare_new(self, inputs: Sequence[Path]) -> None:
        """Hold the rows of new files, all of them unlabelled, instead of those of the data set; where none of them can
        be read, no rows.

        Raises:
            UserError: as `read_new`.
        """
        samples, self.problems = self.read_new(inputs)
        self.__check_columns(samples)
        self.samples = samples.assign(split=UNLABELLED).reset_index(drop=True)

    def __check_columns(self, samples: pd.DataFrame) -> None:
        """Raise ValueError unless `samples` are what `read` has to give."""
        of_read = f"{type(self).__qualname__}.read"
        targets = {target_column(task): task for task in self.classes}
        for column in dict.fromkeys(("id", "group", "target", "content", *targets)):
            if column not in samples:
                raise ValueError(f"{of_read}: no column {column}; it has {', '.join(map(str, samples))}")
            cells = samples[column].dropna() if column.startswith("target") else samples[column]
            if pd.api.types.infer_dtype(cells, skipna=False) not in ("string", "empty"):
                wrong = next(cell for cell in cells if not isinstance(cell, str))
                raise ValueError(f"{of_read}: {column} holds {wrong!r}, of type {type(wrong).__name__}; it holds texts")
            if column in targets:
                names = self.classes[targets[column]]
                if unknown := sorted(set(cells) - set(names)):
                    raise ValueError(f"{of_read}: {column} holds {unknown[0]!r}, which is none of {', '.join(names)}")

    def check_samples(self) -> None:
        """Raise ValueError unless `samples` are enough to fit a model on."""
        check_splits(self.samples, self.classes)
        size = int((self.samples["split"] == "train").sum())
        require(self.batch_size <= size, "batch_size", self.batch_size, f"at most the {size} training rows")

    def add_rows(self, samples: pd.DataFrame) -> pd.DataFrame:
        """Hook for rows that are added to the training split from elsewhere, or left out of all splits."""
        return samples

    @property
    def parent_samples(self) -> pd.DataFrame:
        """The rows of a preset that is a parent: all of `samples`, unless some are left out of this run alone."""
        return self.samples

    def check(self, directory: Path, parents: Sequence[InheritedRows] = ()) -> dict[str, Any]:
        """Write splits, problems and leaks beside the run, and pass the gate; gives the record's entry.

        Args:
            parents: rows of the runs that this one is made with.

        Raises:
            LeakageError: after `leakage.csv` was written.
        """
        self.write_splits(directory)
        if self.problems.found:
            write_csv(directory / "problems.csv", self.problems.table())
        leaks = self.find_leaks(parents)
        if len(leaks.findings):
            write_csv(directory / "leakage.csv", leaks.findings)
            if self.leakage_action == "stop":
                raise LeakageError(leaks.findings)
        return {"action": self.leakage_action, **leaks.entry()}

    def find_leaks(self, parents: Sequence[InheritedRows] = ()) -> Leaks:
        """What the gate finds, among the rows and between them and those of `parents`."""
        return find_leaks(self.leakage_inputs(), inherited_leaks(self._split_rows(), parents))

    def row_contents(self, split: str) -> set[str]:
        """What the rows of `split` are known by in other runs, whatever their ids are there."""
        table = self._split_rows()
        return set(table.loc[table["split"] == split, "content"].astype(str))

    def write_splits(self, directory: Path) -> None:
        """Write `splits.csv`: id, group, target, split and the content by which a row is known in other runs."""
        write_csv(directory / "splits.csv", self._split_rows())

    def _split_rows(self) -> pd.DataFrame:
        content = self.samples["source" if "source" in self.samples else "content"]
        return self.samples[["id", "group", "target", "split"]].assign(content=content)

    def validate_world_size(self, world_size: int) -> None:
        """See that each of `world_size` processes gets a batch of training rows and a validation row.

        Raises:
            ValueError: it does not.
        """
        n_train, n_val = len(self.rows("train")), len(self.rows("val"))
        most = f"at most {n_train // world_size}, for {n_train} training rows in {world_size} processes"
        require(self.batch_size * world_size <= n_train, "data.batch_size", self.batch_size, most)
        require(world_size <= n_val, "trainer.devices", world_size, f"at most {n_val}, the number of validation rows")

    @property
    def fingerprint(self) -> str:
        """Hash of every sample's content, label and split."""
        columns = self.samples[["id", "content", "target", "split"]]
        return digest(columns.astype(object).where(columns.notna(), None).sort_values("id").to_numpy().tolist())

    def rows(self, split: str) -> pd.DataFrame:
        """Samples of `split`; raises ValueError where there are none."""
        rows = self.samples[self.samples["split"] == split].reset_index(drop=True)
        if rows.empty:
            held = ", ".join(sorted(self.samples["split"].unique()))
            raise ValueError(f"split={split}: the data has no such rows; it has {held}")
        return rows

    def part(self, positions: Sequence[int]) -> Self:
        """The same with the rows at these positions of `samples` alone; its inputs have to be configured anew."""
        part = copy(self)
        part.samples = self.samples.iloc[list(positions)].reset_index(drop=True)
        return part

    def class_counts(self, task: str) -> list[int]:
        """Training rows of each class of `task`, in the order of its classes."""
        counts = self.rows("train")[target_column(task)].value_counts()
        return [int(counts.get(name, 0)) for name in self.classes[task]]

    def train_dataloader(self) -> DataLoader:
        """This process's part of the training rows."""
        dataset, rank, world_size = self.dataset("train", self.augment), *self.__rank_and_size
        size = len(self.rows("train"))
        sampler = EpochSampler(size, seed=self.seed, skip=self.__skip, rank=rank, world_size=world_size)
        if self.trainer is not None:  # worker processes read ahead before Lightning announces a resumed epoch
            epochs = self.trainer.fit_loop.epoch_progress.current
            sampler.set_epoch(epochs.processed)  # type: ignore[attr-defined]
        return DataLoader(dataset, self.batch_size, sampler=sampler, drop_last=True, **self.loader_settings())

    def val_dataloader(self) -> DataLoader:
        """This process's part of the validation rows."""
        rank, world_size = self.__rank_and_size
        batches = eval_batches(len(self.rows("val")), self.eval_batch_size, rank=rank, world_size=world_size)
        return DataLoader(self.dataset("val"), batch_sampler=batches, **self.loader_settings())

    def eval_dataloader(self, split: str, transform: Transform | None = None) -> DataLoader:
        """Every sample of `split` once, in order, in this process alone; each row has one seed for any `transform`."""
        seeds = fold_in_many(_TRANSFORM_SEED, count=len(self.rows(split)))
        indices = [SampleIndex(position, int(seed)) for position, seed in enumerate(seeds)]
        dataset = self.dataset(split, transform)
        return DataLoader(dataset, self.eval_batch_size, sampler=indices, **self.loader_settings())

    @property
    def __rank_and_size(self) -> tuple[int, int]:
        """Rank of this process and number of processes."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def loader_settings(self) -> dict[str, Any]:
        """Arguments of every loader beside its rows and their order; a subclass may add some, such as `pin_memory`."""
        return {"num_workers": self.num_workers, "collate_fn": _as_is, "persistent_workers": self.num_workers > 0}

    def write_labels(self, predictions: pd.DataFrame, directory: Path) -> Path:
        """Write the label file for unlabelled rows, one line an id; gives its path.

        Its columns are `id` and `prediction`, or with several tasks `id` and one of each task's name.
        """
        path = directory / "labels.csv"
        tasks = predictions["task"].unique()
        if len(tasks) == 1:
            write_csv(path, predictions[["id", "prediction"]])
            return path
        by_task = predictions.pivot(index="id", columns="task", values="prediction")
        write_csv(path, by_task.loc[predictions["id"].unique(), tasks].reset_index())
        return path

    def state_dict(self) -> dict[str, Any]:
        assert self.trainer is not None
        progress = self.trainer.fit_loop.epoch_loop.batch_progress
        done = 0 if progress.is_last_batch else progress.current.processed  # type: ignore[attr-defined]
        return {"samples_used": done * self.batch_size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.__skip = state_dict["samples_used"]


def _as_is(batch: Any) -> Any:  # datasets give whole batches; a lambda would not reach spawned workers
    return batch
