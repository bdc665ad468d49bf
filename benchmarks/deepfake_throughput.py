"""What the cascade saves and loses on the sample world: python -m benchmarks.deepfake_throughput [--seeds N] [--test]

Early exits for fakes at several promised false alarms, on validation rows, by which the preset's was chosen; with
--test the test rows at the preset's as well, which opens the test split of the cascade once.
Settings, such as data.sample.train=12, make it smaller, for a look at whether it works.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch.utils.data import DataLoader

from benchmarks.fits import composed, fitted, looked_at
from benchmarks.results import Cell, Table, value_cell, write_result
from benchmarks.timing import alternate
from hallmark.analysis.detection.cascade import cascade_videos, is_fake, part_logits
from hallmark.data.sampling import SampleIndex
from hallmark.engine.finished import FinishedRun
from hallmark.runs.configuration import default_resampling
from hallmark.runs.repeats import RepeatSet, runs_of
from hallmark.runs.run import Run
from hallmark.statistics import paired_difference
from hallmark.systems.deepfake.cascade import DeepfakeCascade
from hallmark.systems.deepfake.decisions import FILTER, STACK, decided_by
from hallmark.systems.deepfake.pooling import pool
from hallmark.systems.deepfake.stackers import logits_of

PROMISED = (0.02, 0.05, 0.08)  # false alarms of the early exit
KINDS = {"easy and mid": ("easy", "mid"), "hard": ("hard",), "other family": ("other",)}
FRAMES_AT_A_TIME = 64
COLUMNS = (
    ("throughput", 2, "×"), ("AUROC lost", 3, ""), ("left to the stack", 2, ""), ("cost of the filter", 2, ""),
    ("beside all real videos", 2, "×"),
)  # fmt: skip
CLEARED = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)  # shares of all videos, on the curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test", action="store_true", help="measure the preset on test rows as well")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE")
    arguments = parser.parse_args()
    preset = float(composed(["experiment=deepfake_cascade"]).model.early_false_alarm)
    table: list[dict[str, Cell]] = []
    tables: dict[str, Table] = {"validation": table}
    runs: list[Run] = []
    for promised in PROMISED:
        result = cascades(promised, arguments.seeds, arguments.settings)
        of_seeds = [measured_on_validation(run) for run in runs_of(result)]
        row: dict[str, Cell] = {"false alarms promised": f"{100 * promised:g} %"}
        for key, digits, sign in COLUMNS:
            row[key] = per_seed([measured[key] for measured in of_seeds], digits, sign)
        table.append(row)
        runs += runs_of(result)
        if arguments.test and promised == preset:
            costs = [{part: row[part] for part in (FILTER, STACK)} for row in of_seeds]
            tables |= measured_on_test(result, costs)
    write_result(
        "deepfake_throughput",
        rows="A kind is its forgeries and the real videos that they were made from, as many of either class. The miss "
        "rate of the filter is promised to be 5 % of all fakes at most. Processor time of validation frames, "
        f"{FRAMES_AT_A_TIME} at a time, by turns: the cascade against its stack on everything, median of 5. The false "
        "alarms of the preset were chosen by these rows. Beside all real videos, which are half as many again, and on "
        "test rows, throughput is that of the share left to the stack and of the seconds a frame of both parts.",
        intervals="" if not arguments.test else f"Intervals resample pairs of videos and the {arguments.seeds} seeds.",
        tables=tables,
        runs=runs,
    )


def cascades(promised: float, seeds: int, settings: Sequence[str]) -> RepeatSet:
    promise = f"model.early_false_alarm={promised}"
    result = fitted(["experiment=deepfake_cascade", f"repeat=seeds:{seeds}", promise, *settings])
    assert isinstance(result, RepeatSet)
    return result


def measured_on_validation(run: Run) -> dict[str, float]:
    """Throughput over the stack everywhere, what that costs in AUROC, and the seconds a frame of both parts."""
    finished = FinishedRun(run, folds=0)
    data, loaded = finished.load()
    assert isinstance(loaded, DeepfakeCascade)
    module = loaded
    every = cascade_videos(finished.predictions("val"))
    videos = of_kind(every, "easy and mid")
    rows = data.rows("val")
    positions = np.flatnonzero(rows["video"].isin(videos["id"]))
    indices = [SampleIndex(int(position), 0) for position in positions]
    loader = DataLoader(data.dataset("val"), len(indices), sampler=indices, **data.loader_settings())
    frames, video = next(iter(loader)), rows["video"].to_numpy()[positions]
    everything = np.arange(len(video))
    with torch.inference_mode():
        spent = alternate({
            "cascade": lambda: cascaded(module, frames, video),
            FILTER: lambda: scores(module, FILTER, frames, everything),
            STACK: lambda: scores(module, STACK, frames, everything),
        }, repeats=5)  # fmt: skip
    cost = {part: spent[part] / len(positions) for part in (FILTER, STACK)}
    with_all_real = every[every["slice_method"].isin(["real", *KINDS["easy and mid"]])]
    return {
        "throughput": spent[STACK] / spent["cascade"], "AUROC lost": auroc_lost(videos),
        "left to the stack": float((videos["info_decided_by"] == STACK).mean()),
        "cost of the filter": spent[FILTER] / spent[STACK],
        "beside all real videos": saved(float((with_all_real["info_decided_by"] == STACK).mean()), cost), **cost,
    }  # fmt: skip


def scores(module: DeepfakeCascade, part: str, frames: dict[str, torch.Tensor], chosen: NDArray) -> NDArray:
    """P(fake) of the chosen frames by a part, some of them at a time."""
    at_a_time = np.split(chosen, range(FRAMES_AT_A_TIME, len(chosen), FRAMES_AT_A_TIME))
    batches = ({name: values[few] for name, values in frames.items()} for few in at_a_time)
    return np.concatenate([module.scores(part, batch) for batch in batches])


def cascaded(module: DeepfakeCascade, frames: dict[str, torch.Tensor], video: NDArray) -> NDArray:
    """The filter on all frames, the stack on those of the videos that the filter does not decide."""
    assert module.thresholds is not None
    codes, names = pd.factorize(video)
    fake = pool(scores(module, FILTER, frames, np.arange(len(codes))), codes, len(names), module.pooling[FILTER])
    passed = decided_by(logits_of(np.column_stack([1 - fake, fake])), module.thresholds) == STACK
    return scores(module, STACK, frames, np.flatnonzero(passed[codes]))


def measured_on_test(result: RepeatSet, costs: Sequence[dict[str, float]]) -> dict[str, Table]:
    """By kind what the cascade saves and loses, and its AUROC at other thresholds below which the filter clears."""
    tables = [cascade_videos(table) for table in looked_at(runs_of(result), None)]
    modules = [FinishedRun(run, folds=0).load()[1] for run in runs_of(result)]
    pooled = result.pooled(tables)
    kinds: list[dict[str, Cell]] = []
    for kind in KINDS:
        of_seeds = [of_kind(table, kind) for table in tables]
        throughput = [saved((rows["info_decided_by"] == STACK).mean(), cost)
                      for rows, cost in zip(of_seeds, costs, strict=True)]  # fmt: skip
        rows = of_kind(pooled, kind)
        lost = paired_difference(rows, by_stack(rows), "auroc", resampling=default_resampling()).difference
        missed = [float((rows["info_verdict"] == "real")[is_fake(rows) & (rows["info_decided_by"] == FILTER)].sum()
                        / is_fake(rows).sum()) for rows in of_seeds]  # fmt: skip
        kinds.append({
            "forgeries": kind, "throughput": per_seed(throughput, 2, "×"), "AUROC lost": value_cell(lost),
            "share cleared of them": per_seed(missed, 3, ""),
        })  # fmt: skip
    curve = [point(share, tables, modules, costs) for share in CLEARED]
    return {"test": kinds, "curve": curve}


def point(
    share: float, tables: Sequence[pd.DataFrame], modules: Sequence[Any], costs: Sequence[dict[str, float]]
) -> dict[str, Cell]:
    """Means over seeds where the filter clears this share of all test videos, with the early exit as it is."""
    values: dict[str, list[float]] = {}
    for table, module, cost in zip(tables, modules, costs, strict=True):
        scores = {part: part_logits(table, part) for part in (FILTER, STACK)}
        clear = float(np.quantile(scores[FILTER], share, method="higher")) if share else -np.inf
        moved = replace(module.thresholds, clear=min(clear, module.thresholds.early_fake))
        fake = module.video_probabilities(scores[FILTER], scores[STACK], moved)
        passed = (scores[FILTER] >= moved.clear) & (scores[FILTER] <= moved.early_fake)
        answered = table.assign(fake=fake, passed=passed)
        answered.attrs = table.attrs
        for kind in KINDS:
            rows = of_kind(answered, kind)
            values.setdefault(f"{kind}: throughput", []).append(saved(rows["passed"].mean(), cost))
            values.setdefault(f"{kind}: AUROC", []).append(float(roc_auc_score(is_fake(rows), rows["fake"])))
    means = {
        name: {"text": f"{np.mean(v):.2f}×" if "throughput" in name else f"{np.mean(v):.3f}",
               "value": round(float(np.mean(v)), 6)}
        for name, v in values.items()
    }  # fmt: skip
    return {"cleared": f"{100 * share:g} %", **means}


def saved(passed: float, cost: dict[str, float]) -> float:
    return cost[STACK] / (cost[FILTER] + passed * cost[STACK])


def auroc_lost(videos: pd.DataFrame) -> float:
    """By the calibrated logit of whichever part decides, against the stack's."""
    fake, joint = is_fake(videos), np.array(videos["probabilities"].tolist())[:, 1]
    return float(roc_auc_score(fake, videos["info_stack"].astype(float)) - roc_auc_score(fake, joint))


def of_kind(videos: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The forgeries of a kind and the real videos of their pairs."""
    forged = videos["slice_method"].astype(str).isin(KINDS[kind])
    rows = videos[videos["group"].isin(videos.loc[forged, "group"])].reset_index(drop=True)
    rows.attrs = videos.attrs
    return rows


def by_stack(videos: pd.DataFrame) -> pd.DataFrame:
    fake = videos["info_stack"].to_numpy(float)
    return videos.assign(probabilities=list(np.column_stack([1 - fake, fake])))


def per_seed(values: Sequence[float], digits: int, sign: str) -> Cell:
    text = ", ".join(f"{value:.{digits}f}{sign}" for value in values)
    return {"text": text, "values": [round(float(value), 6) for value in values]}


if __name__ == "__main__":
    main()
