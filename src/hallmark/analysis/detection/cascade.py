"""What a cascade of a filter and a stack costs and loses, at its thresholds and at all others."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from hallmark.analysis.detection.cascade_figure import cascade_figure
from hallmark.analysis.presentation import show
from hallmark.analysis.state import State
from hallmark.checks import require
from hallmark.data.sampling import SampleIndex
from hallmark.statistics import Resampling, metric_interval, paired_difference
from hallmark.systems.deepfake.cascade import DeepfakeCascade
from hallmark.systems.deepfake.decisions import FILTER, STACK, decided_by, negative_predictive_value
from hallmark.systems.deepfake.stackers import class_probabilities, fake_logits
from hallmark.systems.deepfake.tables import FAKE, VIDEO

PARTS = (FILTER, STACK)
OUTCOMES = {
    "cleared": (FILTER, "real"), "early_fake": (FILTER, "fake"), "stack_real": (STACK, "real"),
    "stack_fake": (STACK, "fake"), "undecided": (STACK, "undecided"),
}  # fmt: skip
ALL = "all"


class CascadeCost:
    """Write `cascade.csv`, `cascade_curve.csv`, `cascade_outcomes.csv`, `cascade_times.csv` and a figure.

    The curve has a point a threshold below which the filter clears, from none to all videos, with the early exit for
    fakes as it is: what a frame costs, from the measured seconds of both parts, and the video AUROC that is left. It is
    of every kind of fakes against all real videos. Outcomes are shares of the videos of a method.

    Args:
        method: slice column that tells the methods of forgery.
        kinds: further kinds by name, of several methods each.
        prevalence: share of fakes among the videos that the cleared ones are drawn from.
        batch_sizes: frames at a time that both parts are timed with; the last one decides costs.
        repeats: timed passes over a batch, of which the median counts.
        points: of a curve.
        statistics: confidence level, resamples and seed of the intervals.
    """

    module_class = DeepfakeCascade

    def __init__(
        self, *, method: str, kinds: Mapping[str, Sequence[str]], prevalence: float, batch_sizes: Sequence[int],
        repeats: int, points: int, statistics: Resampling,
    ) -> None:  # fmt: skip
        require(0 < prevalence < 1, "prevalence", prevalence, "a share in (0, 1)")
        valid = len(batch_sizes) > 0 and min(batch_sizes) >= 1
        require(valid, "batch_sizes", list(batch_sizes), "one or more numbers of frames")
        require(repeats >= 1, "repeats", repeats, "at least 1")
        require(points >= 2, "points", points, "at least 2")
        self.method, self.kinds = f"slice_{method.removeprefix('slice_')}", {k: list(v) for k, v in kinds.items()}
        self.prevalence, self.batch_sizes, self.repeats, self.points = prevalence, list(batch_sizes), repeats, points
        self.resampling = statistics

    def run(self, state: State) -> None:
        videos = cascade_videos(state.predictions)
        require(self.method in videos, "method", self.method, "a slice column of these predictions")
        data, module = state.loaded
        times = self.seconds(module, data, state.split)
        last = times[times["batch_size"] == self.batch_sizes[-1]].set_index("part")["seconds_a_frame"]
        cost = {part: float(last[part]) for part in PARTS}
        curve, outcomes = self.curve(videos, module, cost), self.outcomes(videos)
        points = pd.DataFrame([self.point(videos, rows, name, cost, module) for name, rows in self.parts(videos)])
        state.save_table("cascade_times", times)
        state.save_table("cascade_curve", curve)
        state.save_table("cascade_outcomes", outcomes)
        state.save_table("cascade", points)
        state.save_figure("cascade", cascade_figure(curve, points, outcomes))
        show("Seconds a frame", times)
        show(f"The cascade beside its stack alone, videos of {state.split}", points)
        show("Outcomes, as shares of the videos of a method", outcomes)

    def seconds(self, module: DeepfakeCascade, data: Any, split: str) -> pd.DataFrame:
        """Median seconds a frame of both parts at each batch size, timed in turns after a first pass."""
        rows = []
        for size in self.batch_sizes:
            n_rows = len(data.rows(split))
            indices = [SampleIndex(position % n_rows, 0) for position in range(size)]
            batch = next(iter(DataLoader(data.dataset(split), size, sampler=indices, **data.loader_settings())))
            passes: dict[str, list[float]] = {part: [] for part in PARTS}
            for _ in range(self.repeats + 1):
                for part in PARTS:
                    start = perf_counter()
                    module.scores(part, batch)
                    passes[part].append((perf_counter() - start) / size)
            rows += [{"part": part, "batch_size": size, "seconds_a_frame": float(np.median(passes[part][1:]))}
                     for part in PARTS]  # fmt: skip
        return pd.DataFrame(rows)

    def parts(self, videos: pd.DataFrame) -> list[tuple[str, NDArray[np.bool_]]]:
        """(name, which videos [V]) of all, of each method and of the further kinds, beside all real videos."""
        methods = videos[self.method].astype(str)
        fake = is_fake(videos)
        names = {ALL: list(methods[fake].unique()), **{name: [name] for name in methods[fake].unique()}, **self.kinds}
        chosen = ((name, ~fake | methods.isin(of_kind).to_numpy()) for name, of_kind in names.items())
        return [(name, rows) for name, rows in chosen if (rows & fake).any()]

    def curve(self, videos: pd.DataFrame, module: DeepfakeCascade, cost: Mapping[str, float]) -> pd.DataFrame:
        """One row a kind and threshold, from the one that clears none to the one that clears all."""
        assert module.thresholds is not None
        scores = {part: part_logits(videos, part) for part in PARTS}
        steps = np.unique(np.quantile(scores[FILTER], np.linspace(0, 1, self.points), method="higher"))
        rows = []
        for clear in [-math.inf, *steps, math.inf]:
            early = module.thresholds.early_fake
            moved = replace(module.thresholds, clear=float(min(clear, early)))
            by = decided_by(scores[FILTER], moved)
            answers = module.video_probabilities(scores[FILTER], scores[STACK], moved)
            table = _answered(videos, answers)
            for name, chosen in self.parts(videos):
                measured = self._measured(table[chosen], by[chosen], scores[FILTER][chosen] < moved.clear, cost)
                rows.append({"kind": name, "clear": moved.clear, **measured})
        return pd.DataFrame(rows).drop_duplicates(ignore_index=True)

    def _measured(
        self, table: pd.DataFrame, by: NDArray, cleared: NDArray[np.bool_], cost: Mapping[str, float]
    ) -> dict[str, float]:
        """Costs and rates of videos, their frames weighing equally."""
        from sklearn.metrics import roc_auc_score

        fake, frames = is_fake(table), table["info_frames"].to_numpy(float)
        passed = float(frames[by == STACK].sum() / frames.sum())
        seconds = cost[FILTER] + passed * cost[STACK]
        return {
            "passed": passed, "cost_a_frame": seconds, "throughput_ratio": cost[STACK] / seconds,
            "auroc": float(roc_auc_score(fake, np.array(table["probabilities"].tolist())[:, FAKE])),
            "miss_rate": float(cleared[fake].mean()), "cleared_real": float(cleared[~fake].mean()),
            "npv": negative_predictive_value(
                float(cleared[~fake].mean()), float(cleared[fake].mean()), self.prevalence
            ),
        }  # fmt: skip

    def point(
        self, videos: pd.DataFrame, chosen: NDArray[np.bool_], name: str, cost: Mapping[str, float],
        module: DeepfakeCascade,
    ) -> dict[str, Any]:  # fmt: skip
        """What the cascade as it is costs and loses on a kind of fakes and all real videos, beside the stack alone."""
        rows = videos[chosen]
        by = rows["info_decided_by"].to_numpy()
        cleared = ((by == FILTER) & (rows["info_verdict"] == "real")).to_numpy()
        values = self._measured(rows, by, cleared, cost)
        alone = _answered(rows, rows["info_stack"].to_numpy(float))
        lost = paired_difference(rows, alone, "auroc", resampling=self.resampling).difference
        misses = rows[is_fake(rows)].assign(score=cleared[is_fake(rows)].astype(float))
        return {
            "kind": name, "n": len(rows), **values, "auroc_lost": lost.estimate, "auroc_lost_low": lost.low,
            "auroc_lost_high": lost.high,
            **metric_interval(misses, "score", resampling=self.resampling).columns("miss_rate"),
        }  # fmt: skip

    def outcomes(self, videos: pd.DataFrame) -> pd.DataFrame:
        """One row a method: the share of its videos with each outcome, with intervals."""
        records = []
        for method, rows in videos.groupby(self.method, sort=False, observed=True):
            record: dict[str, Any] = {"method": str(method), "n": len(rows), "n_groups": rows["group"].nunique()}
            for name, (part, verdict) in OUTCOMES.items():
                has = (rows["info_decided_by"] == part) & (rows["info_verdict"] == verdict)
                shares = rows.assign(score=has.astype(float))
                record |= metric_interval(shares, "score", resampling=self.resampling).columns(name)
            records.append(record)
        return pd.DataFrame(records)


def cascade_videos(predictions: pd.DataFrame) -> pd.DataFrame:
    """The labelled videos of a cascade.

    Raises:
        ValueError: the table is of another model.
    """
    missing = {"info_filter", "info_stack", "info_decided_by", "info_verdict"} - set(predictions)
    if missing or VIDEO not in predictions.attrs["classes"]:
        raise ValueError(f"cascade: needs predictions of a cascade; these lack {', '.join(sorted(missing)) or VIDEO}")
    videos = predictions[(predictions["task"] == VIDEO) & predictions["target"].notna()].reset_index(drop=True)
    require(videos["target"].nunique() == 2, "split", "this one", "a split with labelled videos of both classes")
    return videos


def is_fake(videos: pd.DataFrame) -> NDArray[np.bool_]:
    return (videos["target"].astype(str) == videos.attrs["classes"][VIDEO][FAKE]).to_numpy()


def part_logits(videos: pd.DataFrame, part: str) -> NDArray:
    """Pooled logits [V] of a part."""
    return fake_logits(videos[f"info_{part}"].to_numpy(float))


def _answered(videos: pd.DataFrame, fake: NDArray) -> pd.DataFrame:
    return videos.assign(probabilities=list(class_probabilities(fake)))
