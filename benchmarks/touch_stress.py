"""The joint model on real wrist recordings, subject-disjoint folds, against a linear probe and other loss balances.

    python -m benchmarks.touch_stress --folder ../shared/data/stress --output docs/results/touch.md

Every preset is trained for the same number of steps on the same folds and seeds; each is one set of repeats, which
looks at the test folds once. Each fit is an ordinary run: an interrupted benchmark goes on where it stopped.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.tables import write_block
from hallmark.analysis.tasks import TaskTable
from hallmark.engine.finished import Finished, sealed_tables
from hallmark.engine.job import Job
from hallmark.engine.repeats import train_repeats
from hallmark.engine.train import quieten
from hallmark.runs.configuration import default_resampling
from hallmark.runs.repeats import Member, RepeatSet
from hallmark.statistics import all_intervals, paired_difference
from hallmark.systems.touch.convert import convert
from hallmark.systems.touch.data import WindowDataModule

CONF = Path(__file__).parents[1] / "conf"
MAIN = "touch_balanced"
SINGLE_TASK = {"action": "touch_action", "state": "touch_state"}
PRESETS = [
    MAIN, "touch_equal", "touch_fixed", "touch_alternating", "touch_uncertainty", "touch_dwa", "touch_gradnorm",
    "touch_pcgrad", "touch_famo", *SINGLE_TASK.values(),
]  # fmt: skip
REAL = [
    "profile=full", "data.normalise=subject", "model.frame_encoder=null", "callbacks.early_stopping=null",
    "callbacks.progress=null", "trainer.max_epochs=5", "data.batch_size=64",
    "data.split.val=0.25",
]  # fmt: skip
METRICS = ("accuracy", "macro_f1", "micro_f1", "auroc", "auprc")


def train_set(preset: str, recordings: Path, repeat: str) -> RepeatSet:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        overrides = [f"experiment={preset}", *REAL, f"data.folder={recordings}", f"repeat={repeat}"]
        config = compose("train", overrides)
    train_repeats(config)
    return RepeatSet(Job.of(config).directory)


def probe_table(repeats: RepeatSet) -> pd.DataFrame:
    """Logistic regression on each window's statistics, fitted on the training subjects of the same folds."""
    return repeats.pooled([_probed(member) for member in repeats.members])


def _probed(member: Member) -> pd.DataFrame:
    stored = pd.read_parquet(member.run.directory / "predictions" / "test.parquet")
    data = Finished(member.run, folds=0).data
    assert isinstance(data, WindowDataModule)
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


def metric_rows(tables: dict[str, pd.DataFrame]) -> list[str]:
    lines = [f"| task | model | {' | '.join(METRICS)} |", "|---" * (len(METRICS) + 2) + "|"]
    for task in SINGLE_TASK:
        for name, table in tables.items():
            found = all_intervals(_of_task(table, task), METRICS, resampling=default_resampling())
            cells = [f"{one.estimate:.3f} [{one.low:.3f}, {one.high:.3f}]" for one in found.values()]
            lines.append(f"| {task} | {name} | {' | '.join(cells)} |")
    return lines


def differences(model: pd.DataFrame, probe: pd.DataFrame) -> list[str]:
    lines = [f"| {MAIN} less the linear probe | accuracy | macro F1 |", "|---|---|---|"]
    for task in SINGLE_TASK:
        cells = []
        for metric in ("accuracy", "macro_f1"):
            found = paired_difference(
                _of_task(probe, task), _of_task(model, task), metric, resampling=default_resampling()
            )
            one = found.difference
            cells.append(f"{one.estimate:+.3f} [{one.low:+.3f}, {one.high:+.3f}], p = {found.p_value:.4f}")
        lines.append(f"| {task} | {' | '.join(cells)} |")
    return lines


def _of_task(table: pd.DataFrame, task: str) -> pd.DataFrame:
    rows = table[table["task"] == task]
    rows.attrs = table.attrs
    return rows


def balances(sets: dict[str, RepeatSet], tables: dict[str, pd.DataFrame]) -> list[str]:
    analysis = TaskTable(SINGLE_TASK, ["accuracy", "macro_f1"], split="test", statistics=default_resampling())
    found = analysis.table(tables)
    found = analysis.timed(found, {name: _seconds(one) for name, one in sets.items()})
    return analysis.markdown(found).splitlines()


def _seconds(repeats: RepeatSet) -> float:
    return sum(member.run.record.wall_seconds for member in repeats.members if member.run.record)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True, type=Path, help="in the layout that the converter reads")
    parser.add_argument("--recordings", type=Path, default=Path("outputs/recordings/stress"))
    parser.add_argument("--repeat", default="folds:5x3")
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=PRESETS, help="the main one among them")
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    quieten()
    convert(arguments.folder, arguments.recordings)
    sets = {preset: train_set(preset, arguments.recordings, arguments.repeat) for preset in arguments.presets}
    for one in sets.values():
        sealed_tables([member.run for member in one.members])
    tables = {name: one.predictions("test") for name, one in sets.items()}
    probe = probe_table(sets[MAIN])
    rows = _of_task(tables[MAIN], "action")
    windows, subjects = len(rows) // rows["repetition"].nunique(), rows["group"].nunique()
    size = f"{windows} windows of {subjects} subjects, `repeat={arguments.repeat}`"
    lines = [
        f"{size}, {torch.get_num_threads()} thread(s).",
        "",
        *metric_rows({MAIN: tables[MAIN], "linear probe": probe}),
        "",
    ]
    lines += [*differences(tables[MAIN], probe), ""]
    if set(SINGLE_TASK.values()) <= set(sets):
        lines += [*balances(sets, tables), ""]
    minutes = sum(map(_seconds, sets.values())) / 60
    write_block(arguments.output, [*lines, f"{minutes:.0f} minutes of training in all."], "stress")


if __name__ == "__main__":
    main()
