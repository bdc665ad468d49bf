"""The joint model on real wrist recordings, subject-disjoint folds, against a linear probe and other loss balances.

    python -m benchmarks.touch_stress --folder ../shared/data/stress

Every method is trained for the same number of steps on the same folds and seeds; each is one set of repeats, which
opens the test folds once. Each fit is an ordinary run: an interrupted benchmark goes on where it stopped. With
--outputs finished runs of another commit are read instead of fitted.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.fits import composed, fitted, looked_at
from benchmarks.results import Cell, number_cell, value_cell, write_result
from benchmarks.tables import COMPARED, TITLES, difference_table, holm_sentence, metric_table
from hallmark.analysis.multitask.task_table import TaskTable
from hallmark.engine.job import Job
from hallmark.engine.setup import prepare_data, silence_expected_warnings
from hallmark.runs.configuration import FILE, default_resampling, load_config
from hallmark.runs.repeats import Member, RepeatSet, runs_of
from hallmark.statistics import Interval
from hallmark.systems.touch.convert import convert
from hallmark.systems.touch.data import WindowDataModule

MAIN = "touch_balanced"
SINGLE_TASK = {"action": "touch_action", "state": "touch_state"}
METHODS = {
    MAIN: [],
    **{f"touch_{name}": [f"model/balance={name}"] for name in (
        "equal", "fixed", "uncertainty", "dwa", "gradnorm", "pcgrad", "famo",
    )},
    "touch_alternating": ["model/balance=alternating", "model.terms=[action,state]"],
    **{name: [f"model.terms=[{task}]"] for task, name in SINGLE_TASK.items()},
}  # fmt: skip
REAL = [
    "profile=full", "data.normalise=subject", "model.frame_encoder=null", "callbacks.early_stopping=null",
    "trainer.max_epochs=5", "data.batch_size=64", "data.split.val=0.25",
]  # fmt: skip
PROBE = "linear probe"
METRICS = ("accuracy", "macro_f1", "auroc", "auprc")


def probe_table(preset: str, repeats: RepeatSet, settings: list[str]) -> pd.DataFrame:
    """Logistic regression on each window's statistics, fitted on the training subjects of the same folds."""
    return repeats.pooled([_probed(preset, member, settings) for member in repeats.members])


def _probed(preset: str, member: Member, settings: list[str]) -> pd.DataFrame:
    stored = pd.read_parquet(member.run.directory / "predictions" / "test.parquet")
    config = composed([f"experiment={preset}", *settings])
    config.data.split = load_config(member.run.directory / FILE).data.split
    data = prepare_data(Job.of(config))
    assert isinstance(data, WindowDataModule)
    if data.fingerprint != member.run.record.provenance.data:
        raise ValueError(f"{member.run.directory}: the recordings or their folds are not those of the run")
    train, test = _statistics(data, "train"), _statistics(data, "test")
    parts = []
    for task, classes in data.classes.items():
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        probe.fit(train, data.rows("train")[f"target_{task}"])
        probabilities = probe.predict_proba(test)[:, [list(probe.classes_).index(name) for name in classes]]
        rows = stored[stored["task"] == task]
        answer = np.array(classes, dtype=object)[probabilities.argmax(axis=1)]
        correct = (answer == rows["target"].to_numpy()).astype(float)
        parts.append(rows.assign(prediction=answer, probabilities=list(probabilities), score=correct))
    table = pd.concat(parts, ignore_index=True)
    table.attrs = stored.attrs
    return table


def _statistics(data: WindowDataModule, split: str) -> NDArray:
    """Mean, standard deviation, range and slope of every normalised channel, [N, 4C]."""
    loader = data.eval_dataloader(split)
    x = torch.cat([batch["signals"] for batch in loader]).double().numpy()
    time_axis = np.linspace(-1, 1, x.shape[2])
    slope = (x * time_axis).sum(axis=2) / (time_axis**2).sum()
    return np.concatenate([x.mean(axis=2), x.std(axis=2), np.ptp(x, axis=2), slope], axis=1)


def of_task(table: pd.DataFrame, task: str) -> pd.DataFrame:
    rows = table[table["task"] == task]
    rows.attrs = table.attrs
    return rows


def balance_table(tables: dict[str, pd.DataFrame]) -> list[dict[str, Cell]]:
    """Δm and metrics of every method, the single-task models first."""
    analysis = TaskTable(SINGLE_TASK, list(COMPARED), split="test", statistics=default_resampling())
    rows = analysis.table(tables)
    cells = []
    for row in rows.to_dict("records"):
        named = {f"{task}: {TITLES[metric]}": f"{task}/{metric}" for task in SINGLE_TASK for metric in COMPARED}
        metrics = {title: value_cell(_interval(row, column)) for title, column in named.items()}
        cells.append({"method": str(row["method"]), "Δm %": value_cell(_interval(row, "delta_m")), **metrics})
    return cells


def _interval(row: dict, column: str) -> Interval:
    level = default_resampling().confidence_level
    return Interval(row[column], row[f"{column}_low"], row[f"{column}_high"], level)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True, type=Path, help="in the layout that the converter reads")
    parser.add_argument("--recordings", type=Path, default=Path("outputs/recordings/stress"))
    parser.add_argument("--repeat", default="folds:5x3")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="the main one among them")
    parser.add_argument("--outputs", type=Path, help="folder of finished runs, which are read and not made again")
    arguments = parser.parse_args()
    silence_expected_warnings()
    convert(arguments.folder, arguments.recordings)
    common = [*REAL, f"data.folder={arguments.recordings}"]
    sets: dict[str, RepeatSet] = {}
    for method in arguments.methods:
        settings = [f"experiment={MAIN}", *METHODS[method], f"name={method}", *common, f"repeat={arguments.repeat}"]
        repeats = fitted(settings, arguments.outputs)
        assert isinstance(repeats, RepeatSet)
        looked_at(runs_of(repeats), arguments.outputs)
        sets[method] = repeats
    tables = {name: repeats.predictions("test") for name, repeats in sets.items()}
    write(sets, {**tables, PROBE: probe_table(MAIN, sets[MAIN], common)}, arguments.repeat)


def write(sets: dict[str, RepeatSet], tables: dict[str, pd.DataFrame], repeat: str) -> None:
    by_task = {(name, task): of_task(table, task) for name, table in tables.items() for task in SINGLE_TASK}
    models: list[dict[str, Cell]] = []
    for task in SINGLE_TASK:
        cells = metric_table({name: by_task[name, task] for name in (MAIN, PROBE)}, METRICS)
        models += [{"model": f"{task}: {row['model']}", **{key: row[key] for key in list(row)[1:]}} for row in cells]
    pairs = {f"{task}: {MAIN} − {PROBE}": (by_task[MAIN, task], by_task[PROBE, task]) for task in SINGLE_TASK}
    for task, single in SINGLE_TASK.items():
        if single in sets:
            pairs[f"{task}: {MAIN} − {single}"] = (by_task[MAIN, task], by_task[single, task])
    differences = difference_table(pairs)
    rows = by_task[MAIN, "action"]
    windows = rows["id"].str.rpartition("@")[0].nunique()
    compared = {name: table for name, table in tables.items() if name != PROBE}
    runs = [run for repeats in sets.values() for run in runs_of(repeats)]
    minutes = sum(run.record.wall_seconds for run in runs) / 60
    write_result(
        "touch_stress",
        rows=f"{windows:,} windows of {rows['group'].nunique()} people, `repeat={repeat}`: each window is predicted "
        "once a repetition, by a model that saw no window of the person; validation people selected the epoch.",
        intervals=f"The intervals know people and trained models. {holm_sentence(differences)}",
        tables={
            "models": models,
            "differences": differences,
            **({"balances": balance_table(compared)} if set(SINGLE_TASK.values()) <= set(sets) else {}),
        },
        values={"minutes": number_cell(minutes, 0)},
        runs=runs,
    )


if __name__ == "__main__":
    main()
