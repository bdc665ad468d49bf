"""Data module of windowed body signals and pressure frames."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from hallmark.checks import require
from hallmark.data.generated import data_folder, data_requirement, origin_of
from hallmark.data.leakage import LeakageInputs
from hallmark.data.module import DataModule
from hallmark.data.perturb import Perturbation
from hallmark.data.problems import Problems, complete_policies
from hallmark.data.sampling import SampleIndex, Transform
from hallmark.data.splits import SplitPlan, target_column
from hallmark.features.store import FeatureStore
from hallmark.storage.requirements import Requirement
from hallmark.systems.touch.augment import PERTURBATIONS, SignalAugment
from hallmark.systems.touch.corpus import KINDS, LATER_KINDS, MISSING, REPAIRABLE, Cutting, WindowCorpus, read_windows
from hallmark.systems.touch.manifest import MANIFEST, TASKS
from hallmark.systems.touch.normalize import METHODS, Normalizer, fit_normalizer
from hallmark.systems.touch.sample.world import generate
from hallmark.systems.touch.windows import coverage, cut


class WindowDataModule(DataModule):
    """Windows of recordings, with an action and a state to tell.

    Args:
        folder: recordings in the layout of `read_manifest`; None generates the sample recordings.
        sample: arguments of `sample.generate`; needed where `folder` is None.
        channels: names of the signals to read, in the order that the model sees them.
        log_channels: those of which the logarithm is taken before anything else.
        rate: of the signals in Hz; None takes the rate that most recordings have.
        window, overlap, min_observed: of `Cutting`.
        normalise: `channel`, `subject` or `none`; see `fit_normalizer`.
        unit: `subject`, or `window` to split at random as one should not: the gate refuses it, and with
            data.leakage=report the scores show how optimistic it is.
        on_problem: policy by kind of problem.
        cache: root of parsed recordings and of the sample recordings.
        classes: of the tasks `action` and `state`, or of one of them.
        common: the other arguments of `DataModule`.
    """

    def __init__(  # noqa: PLR0913
        self, *, folder: str | None, sample: Mapping[str, Any] | None, channels: Sequence[str],
        log_channels: Sequence[str], rate: float | None, window: float, overlap: float, min_observed: float,
        normalise: str, unit: str, on_problem: Mapping[str, str], augment: SignalAugment | None, cache: str,
        classes: Mapping[str, Sequence[str]], batch_size: int, num_workers: int, split: SplitPlan, leakage: str,
        seed: int,
    ) -> None:  # fmt: skip
        super().__init__(
            classes=classes, batch_size=batch_size, num_workers=num_workers, augment=augment, split=split,
            leakage=leakage, seed=seed,
        )  # fmt: skip
        known = bool(classes) and set(classes) <= set(TASKS)
        require(known, "classes", dict(classes), "those of action and state")
        require(len(set(channels)) == len(channels) > 0, "channels", list(channels), "one or more different names")
        logarithms = list(log_channels)
        require(set(logarithms) <= set(channels), "log_channels", logarithms, "names among data.channels")
        require(rate is None or rate > 0, "rate", rate, "Hz above 0, or null")
        require(normalise in METHODS, "normalise", normalise, f"one of {', '.join(METHODS)}")
        require(unit in ("subject", "window"), "unit", unit, "subject or window")
        policies = complete_policies(on_problem, KINDS, defaults=LATER_KINDS)
        self.problems = Problems(policies, repairable=REPAIRABLE)
        self.channels, self.log_channels, self.rate = list(channels), logarithms, rate
        self.cutting, self.normalise, self.unit = Cutting(window, overlap, min_observed), normalise, unit
        self.cache = Path(cache)
        expected = "the folder of your recordings.csv"
        self.folder = data_folder(folder, self.cache, "touch", generate, sample, expected=expected)
        self.generated = origin_of(self.folder, "touch")
        self._with_frames = False
        self._normalizer: Normalizer | None = None

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """The recordings."""
        text = f"recordings: {MANIFEST} (id,subject,scene,action,state,signals,frames) and the files it names"
        return [data_requirement(arguments["folder"], arguments["sample"], [MANIFEST], text=text)]

    def read(self) -> tuple[pd.DataFrame, Problems]:
        self._corpus = read_windows(
            self.folder, classes=self.classes, channels=self.channels, rate=self.rate, cutting=self.cutting,
            problems=self.problems, cache=self.cache,
        )  # fmt: skip
        samples = self._corpus.samples
        samples["subject_code"] = pd.factorize(samples["group"])[0]
        if self.unit == "window":
            samples["group"] = samples["id"]
        return samples, self.problems

    def prepare(self) -> None:
        """As in the base, but `content` is of the recordings and not of how they were cut: another window length
        does not make another data set, with an unopened test seal."""
        super().prepare()
        self.content, self._normalizer = self._corpus.content, None

    def sources(self) -> list[Path]:
        return [self.folder]

    def metadata(self) -> dict[str, Any]:
        rows, corpus = self.samples, self._corpus
        source = {"source": str(self.folder), "rows": len(rows)}
        if not len(rows):
            return source
        statistics = {} if self.normalise == "none" else {
            channel: [float(f"{value:.6g}") for value in pair]
            for channel, *pair in zip(self.channels, self.normalizer.mean, self.normalizer.std, strict=True)
        }  # fmt: skip
        return {
            **source, "groups": int(rows["group"].nunique()), "recordings": int(rows["recording"].nunique()),
            "subjects": int(rows["subject"].nunique()), "rate": corpus.rate, "window_samples": corpus.size,
            "windows_left_out": corpus.left_out, "statistics": statistics,
        }  # fmt: skip

    def leakage_inputs(self) -> LeakageInputs:
        """Subjects are compared whatever the unit of the split is."""
        rows = self.samples
        files = {name: rows[column].tolist() for name, column in
                 (("signals", "signals_digest"), ("frames", "frames_digest"), ("subject", "subject"))}  # fmt: skip
        return LeakageInputs(rows, grouped=self.unit == "subject" and bool((rows["subject"] != "").all()), files=files)

    def slice_categories(self) -> dict[str, list[str]]:
        labels = {f"slice_{task}": names for task, names in self.classes.items()}
        return {**labels, "slice_missing": MISSING}

    def configure_inputs(self, inputs: Mapping[str, Any], store: FeatureStore | None) -> None:
        """The model always reads `signals`, and `frames` if it asks for them; outputs are never taken from a store."""
        self._with_frames = "frames" in inputs
        needed = "recordings with frames, or a model without: model.frame_encoder=null"
        require(not self._with_frames or self._corpus.frames > 0, "data.folder", str(self.folder), needed)

    def dataset(self, split: str, transform: Transform | None = None) -> "WindowDataset":
        rows = self.rows(split)
        target = {
            task: torch.tensor([names.index(n) if n in names else -1 for n in rows[target_column(task)]])
            for task, names in self.classes.items()
        }
        return WindowDataset(
            target=target, rows=rows, corpus=self._corpus, normalizer=self.normalizer, with_frames=self._with_frames,
            transform=transform,
        )  # fmt: skip

    @property
    def normalizer(self) -> Normalizer:
        """Fitted on the training windows."""
        if self._normalizer is None:
            rows, values = self.samples, self._corpus.recordings.values
            offsets, train = rows["offset"].to_numpy(int), (rows["split"] == "train").to_numpy()
            subject = np.zeros(len(values), int)
            subject[offsets[:, None] + np.arange(self._corpus.size)] = rows[["subject_code"]]
            self._normalizer = fit_normalizer(
                values, subject, coverage(offsets[train], self._corpus.size, len(values)),
                coverage(offsets, self._corpus.size, len(values)), method=self.normalise,
                log=[self.channels.index(name) for name in self.log_channels],
            )  # fmt: skip
        return self._normalizer

    def series(self, split: str, positions: Sequence[int]) -> tuple[NDArray, list[str], float]:
        """Windows [n, C, T] in physical units, nan where nothing was measured; channel names; rate in Hz."""
        offsets = self.rows(split)["offset"].to_numpy(int)[list(positions)]
        windows = cut(self._corpus.recordings.values, offsets, self._corpus.size)
        return windows, self.channels, self._corpus.rate

    def perturbations(self) -> dict[str, Perturbation]:
        """What the signals may suffer, by name."""
        return dict(PERTURBATIONS)


class WindowDataset(Dataset):
    """One split, read a batch at a time.

    Args:
        target: by task, int64 [N], −1 where unlabelled.
        rows: samples of the split with the columns offset, frame and subject_code.
        corpus: what the windows are cut from.
        normalizer: of the signals.
        with_frames: whether a batch has frames.
        transform: changes (signals [C, T], observed [C, T]) after normalization, with the seed of the draw.
    """

    def __init__(
        self, *, target: Mapping[str, Tensor], rows: pd.DataFrame, corpus: WindowCorpus, normalizer: Normalizer,
        with_frames: bool, transform: Transform | None,
    ) -> None:  # fmt: skip
        self.target, self.corpus, self.normalizer = dict(target), corpus, normalizer
        self.with_frames, self.transform = with_frames, transform
        self._offset, self._frame, self._subject = (rows[c].to_numpy(int) for c in ("offset", "frame", "subject_code"))

    def __len__(self) -> int:
        return len(self._offset)

    def __getitem__(self, draw: SampleIndex) -> dict[str, Any]:
        return self.__getitems__([draw])

    def __getitems__(self, draws: Sequence[SampleIndex]) -> dict[str, Any]:
        """`index` [B], `target` {task: [B]}, `signals` and `observed` float32 [B, C, T], and if asked for
        `frames` float32 [B, K, H, W] in [0, 1] (0 where missing) with `has_frames` float32 [B]."""
        index = np.array([draw.position for draw in draws])
        windows = cut(self.corpus.recordings.values, self._offset[index], self.corpus.size)
        signals, observed = self.normalizer(windows, self._subject[index])
        if self.transform is not None:
            seen = zip(signals, observed, draws, strict=True)
            signals, observed = map(np.stack, zip(*(self.transform((s, o), d.seed) for s, o, d in seen), strict=True))
        batch: dict[str, Any] = {
            "index": torch.from_numpy(index),
            "target": {task: labels[index] for task, labels in self.target.items()},
            "signals": torch.from_numpy(signals),
            "observed": torch.from_numpy(observed),
        }
        if self.with_frames:
            first, stored = self._frame[index], self.corpus.recordings.frames
            present = np.flatnonzero(first >= 0)
            frames = np.zeros((len(index), self.corpus.frames, *stored.shape[1:]), np.float32)
            frames[present] = stored[first[present, None] + np.arange(self.corpus.frames)]
            if stored.dtype == np.uint8:
                frames /= 255
            batch["frames"] = torch.from_numpy(frames)
            batch["has_frames"] = torch.from_numpy((first >= 0).astype(np.float32))
        return batch
