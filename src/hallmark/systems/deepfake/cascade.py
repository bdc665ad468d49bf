"""The cascade: a cheap filter decides the videos that it is sure of, and a stack of experts the others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import expit

from hallmark.checks import SettingError, require
from hallmark.data.module import DataModule
from hallmark.learning.module import Batch, Predict
from hallmark.learning.tables import classification_table
from hallmark.runs.metrics import MAIN, UNLABELLED
from hallmark.runs.parents import Use
from hallmark.statistics.resampling import Resampling
from hallmark.systems.deepfake.combined import CombinedDetectors
from hallmark.systems.deepfake.decisions import (
    FILTER,
    STACK,
    Platt,
    Rates,
    Thresholds,
    check_counts,
    decided_by,
    fit_platt,
    fit_thresholds,
    verdicts,
)
from hallmark.systems.deepfake.pooling import check_pooling, pool
from hallmark.systems.deepfake.stackers import class_probabilities, fake_logits
from hallmark.systems.deepfake.tables import FAKE, VIDEO, with_videos
from hallmark.systems.deepfake.verdict import reasons, video_answers
from hallmark.wording import listed, plural

_PARTS = (FILTER, STACK)


class DeepfakeCascade(CombinedDetectors):
    """Videos that its parent `filter` is sure of are decided by it, the others by its parent `stack`.

    The score of a video, and of its frames, is the calibrated logit of the one that decides it. Thresholds and
    calibration are fitted on the split `calibration`, which no parent may have seen; where several poolings are to
    choose from, each part takes the one with the highest video AUROC on the validation rows. The table of a split has
    the scores of both parts for every row, to measure by; about new files the stack is asked only where it decides.

    Args:
        classes: real and fake.
        poolings: candidates of `pool`; of equal ones the first is taken.
        clear_miss, early_false_alarm, stack_false_alarm, stack_miss, risk: what the thresholds promise, of `Rates`.
    """

    def __init__(
        self, *, classes: Sequence[str], poolings: Sequence[str], clear_miss: float, early_false_alarm: float,
        stack_false_alarm: float, stack_miss: float, risk: float,
    ) -> None:  # fmt: skip
        super().__init__(classes)
        require(len(set(poolings)) == len(poolings) > 0, "poolings", list(poolings), "one or more different poolings")
        for pooling in poolings:
            check_pooling("poolings", pooling)
        shares = {"clear_miss": clear_miss, "stack_false_alarm": stack_false_alarm, "stack_miss": stack_miss}
        for key, share in {**shares, "risk": risk}.items():
            require(0 < share < 1, key, share, "a share in (0, 1)")
        require(0 <= early_false_alarm < 1, "early_false_alarm", early_false_alarm, "a share in [0, 1)")
        self.poolings = list(poolings)
        self.rates = Rates(clear_miss, early_false_alarm, stack_false_alarm, stack_miss, risk)
        self.pooling: Mapping[str, str] = dict.fromkeys(_PARTS, self.poolings[0])
        self.thresholds: Thresholds | None = None
        self._calibrations: Mapping[str, Platt] = {}
        self._logs: dict[str, pd.DataFrame] = {}

    selects_on_val = True
    has_thresholds = True

    @classmethod
    def unread_splits(cls, arguments: Mapping[str, Any]) -> frozenset[str]:
        return frozenset({"meta"})  # on which the stack was fitted

    @classmethod
    def parent_roles(cls, arguments: Mapping[str, Any]) -> Mapping[str, Use]:
        return dict.fromkeys(_PARTS, Use.WEIGHTS)

    def check_data(self, data: DataModule) -> None:
        videos = _videos(data, "calibration")
        if videos.empty:
            raise SettingError("data.split.calibration", 0, "a share of rows for thresholds")
        n_real, n_fake = (int((videos["target"] == name).sum()) for name in self.classes)
        check_counts(n_real, n_fake, self.rates)
        if len(self.poolings) > 1:
            of_val = sorted(_videos(data, "val")["target"].unique())
            expected = f"one pooling: validation rows of {listed(of_val)} alone cannot choose among several"
            require(len(of_val) == len(self.classes), "model.poolings", self.poolings, expected)

    def data_warnings(self, data: DataModule) -> list[str]:
        """That calibration videos of a class share groups, so that fewer of them are independent than are counted."""
        videos = _videos(data, "calibration")
        counts = {name: videos.loc[videos["target"] == name, "group"] for name in self.classes}
        return [
            f"the {len(groups)} {name} calibration videos are of {plural(groups.nunique(), 'group')}: thresholds count "
            "videos as independent, and promise less than they say where videos share identities or sources"
            for name, groups in counts.items()
            if groups.nunique() < len(groups)
        ]

    def fit(self, predict: Callable[[str], list[Any]], data: DataModule) -> Mapping[str, Any]:
        choice = self._pooling_choice(predict("val"), data) if len(self.poolings) > 1 else []
        pooling = {part: max(choice, key=lambda row: row[part])["pooling"] for part in _PARTS} if choice else {}
        self.pooling = {**self.pooling, **pooling}
        rows, scores = data.rows("calibration"), _joined(predict("calibration"))
        codes, names = pd.factorize(rows["video"])
        fake = (rows["target"] == self.classes[FAKE]).to_numpy()
        of_video = fake[np.unique(codes, return_index=True)[1]]
        pooled = {part: self._pooled(part, scores[part], codes, len(names)) for part in _PARTS}
        thresholds = fit_thresholds(pooled[FILTER], pooled[STACK], of_video, self.rates)
        calibrations = {f"{part}_video": fit_platt(pooled[part], of_video) for part in _PARTS}
        calibrations |= {f"{part}_frame": fit_platt(fake_logits(scores[part]), fake) for part in _PARTS}
        return {
            "pooling": self.pooling, "poolings": choice, "thresholds": asdict(thresholds),
            "calibrations": {name: asdict(platt) for name, platt in calibrations.items()},
        }  # fmt: skip

    def load(self, state: Mapping[str, Any]) -> None:
        self.pooling = state["pooling"]
        self.thresholds = Thresholds(**state["thresholds"])
        self._calibrations = {name: Platt(**values) for name, values in state["calibrations"].items()}
        table = [{"name": name, **guarantee, "threshold": getattr(self.thresholds, name)}
                 for name, guarantee in self.thresholds.guarantees.items()]  # fmt: skip
        columns = ["name", "threshold", "rate", "risk", "n", "k", "violation"]
        self._logs = {"thresholds": pd.DataFrame(table, columns=columns)}
        if state["poolings"]:
            self._logs["poolings"] = pd.DataFrame(state["poolings"], columns=["pooling", *_PARTS])

    def training_logs(self) -> Mapping[str, pd.DataFrame]:
        """`thresholds`: each with what it promises and from how many videos; `poolings`: video AUROC of each part."""
        return self._logs

    def scores(self, part: str, batch: Batch, batch_idx: int = 0) -> NDArray:
        """P(fake) [B] of the frames of a batch by `filter` or `stack`."""
        return _fake_of([self.parents[part].predict_step(self.parent_batch(part, batch), batch_idx)])

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """`filter` and `stack`: P(fake) [B] by either."""
        return {"index": batch["index"], **{part: self.scores(part, batch, batch_idx) for part in _PARTS}}

    def video_probabilities(self, filter_scores: NDArray, stack_scores: NDArray, thresholds: Thresholds) -> NDArray:
        """P(fake) [V] from the pooled logits of both parts, were these the thresholds."""
        by = decided_by(filter_scores, thresholds)
        return np.asarray(expit(self._joint(by, filter_scores, stack_scores, "video")))

    def table(self, outputs: Sequence[Any], data: DataModule, split: str) -> pd.DataFrame:
        """Frames and videos with `info_decided_by`, and `info_filter` and `info_stack`: P(fake) by either part, of a
        video pooled. Of a video `info_verdict` is real, fake or undecided; its prediction is fake for a fake one."""
        return self._table(_joined(outputs), data, split)

    def predict_new(self, predict: Predict, data: DataModule) -> pd.DataFrame:
        """As `table`; the stack sees the frames of the videos that it decides, and `info_stack` of others is nan."""
        assert self.thresholds is not None, "it is not fitted"
        codes, names = pd.factorize(data.rows(UNLABELLED)["video"])
        filter_scores = _fake_of(predict(self.parents[FILTER], None))
        stack_scores = np.full(len(codes), np.nan)
        by = decided_by(self._pooled(FILTER, filter_scores, codes, len(names)), self.thresholds)
        passed = np.flatnonzero(by[codes] == STACK)
        if len(passed):
            stack_scores[passed] = _fake_of(predict(self.parents[STACK], passed.tolist()))
        return self._table({FILTER: filter_scores, STACK: stack_scores}, data, UNLABELLED)

    def _table(self, scores: Mapping[str, NDArray], data: DataModule, split: str) -> pd.DataFrame:
        """`table` of the scores [N] of both parts; those of the stack are not read where the filter decides."""
        assert self.thresholds is not None, "it is not fitted"
        video = data.rows(split)["video"]
        codes, names = pd.factorize(video)
        pooled = {part: self._pooled(part, scores[part], codes, len(names)) for part in _PARTS}
        by = decided_by(pooled[FILTER], self.thresholds)
        of_frames = expit(self._joint(by[codes], fake_logits(scores[FILTER]), fake_logits(scores[STACK]), "frame"))
        probabilities = torch.from_numpy(class_probabilities(of_frames))
        frames = classification_table([{"probabilities": {MAIN: probabilities}}], data, split)
        frames = frames.assign(**{f"info_{part}": scores[part] for part in _PARTS}, info_decided_by=by[codes])
        table = with_videos(frames, video, self.video_probabilities(pooled[FILTER], pooled[STACK], self.thresholds))
        is_video = (table["task"] == VIDEO).to_numpy()
        verdict = verdicts(pooled[FILTER], pooled[STACK], self.thresholds)
        for part in _PARTS:
            table.loc[is_video, f"info_{part}"] = expit(pooled[part])
        table["info_verdict"] = None
        table.loc[is_video, "info_verdict"] = verdict
        table.loc[is_video, "prediction"] = np.where(verdict == self.classes[FAKE], *reversed(self.classes))
        labelled = is_video & table["target"].notna().to_numpy()
        table.loc[labelled, "score"] = (table["prediction"] == table["target"])[labelled].astype(float)
        top = np.array([self.classes.index(name) for name in table["prediction"]])
        table["confidence"] = np.array(table["probabilities"].tolist())[np.arange(len(table)), top]
        return table

    def answers(self, table: pd.DataFrame, resampling: Resampling) -> pd.DataFrame:
        """The videos, whose prediction is the verdict, with `info_reason`, a sentence on it, and an interval over their
        frames of P(fake) by the part that decides, to which `info_stack` is nan where that is the filter."""
        assert self.thresholds is not None, "it is not fitted"
        frames = table[table["task"] == MAIN]
        by = frames["info_decided_by"].to_numpy()
        of_frames = {part: frames[f"info_{part}"].to_numpy(float) for part in _PARTS}

        def scores(drawn: NDArray, codes: NDArray, n_videos: int) -> NDArray:
            part = by[drawn[0]]  # of the one video that they are drawn from
            pooled = self._pooled(part, of_frames[part][drawn], codes, n_videos)
            return np.asarray(expit(self._calibrations[f"{part}_video"].logits(pooled)))

        videos = video_answers(table, scores, resampling)
        decided = videos["info_decided_by"]
        score = videos["info_filter"].where(decided == FILTER, videos["info_stack"]).to_numpy(float)
        verdict = videos["info_verdict"].to_numpy()
        return videos.assign(
            prediction=verdict, info_stack=videos["info_stack"].where(decided == STACK),
            info_reason=reasons(decided.to_numpy(), verdict, score, self.thresholds),
        ).drop(columns="info_verdict")  # fmt: skip

    def _pooling_choice(self, outputs: Sequence[Any], data: DataModule) -> list[dict[str, Any]]:
        """Of each candidate the video AUROC of either part on the validation rows, which `outputs` are of."""
        from sklearn.metrics import roc_auc_score

        rows, scores = data.rows("val"), _joined(outputs)
        codes, names = pd.factorize(rows["video"])
        fake = (rows["target"] == self.classes[FAKE]).to_numpy()[np.unique(codes, return_index=True)[1]]
        return [
            {"pooling": how, **{
                part: float(roc_auc_score(fake, pool(scores[part], codes, len(names), how))) for part in _PARTS
            }}
            for how in self.poolings
        ]  # fmt: skip

    def _pooled(self, part: str, scores: NDArray, codes: NDArray, n_videos: int) -> NDArray:
        return fake_logits(pool(scores, codes, n_videos, self.pooling[part]))

    def _joint(self, by: NDArray, of_filter: NDArray, of_stack: NDArray, kind: str) -> NDArray:
        """Calibrated logits of whichever part decides."""
        calibrated = (
            self._calibrations[f"{part}_{kind}"].logits(logits)
            for part, logits in ((FILTER, of_filter), (STACK, of_stack))
        )
        joint: NDArray = np.where(by == FILTER, *calibrated)
        return joint


def _videos(data: DataModule, split: str) -> pd.DataFrame:
    """The first frame of each video of a split."""
    return data.samples[data.samples["split"] == split].drop_duplicates("video")


def _fake_of(outputs: Sequence[Any]) -> NDArray:
    """P(fake) [N] of the frames of all batches of a part."""
    return np.concatenate([output["probabilities"][MAIN][:, FAKE].double().cpu().numpy() for output in outputs])


def _joined(outputs: Sequence[Any]) -> dict[str, NDArray]:
    return {part: np.concatenate([output[part] for output in outputs]) for part in _PARTS}
