"""What the listed jobs of a sweep reach on every task, side by side."""

from pathlib import Path

import pandas as pd

from hallmark.analysis.state import save_figure
from hallmark.analysis.tables import show
from hallmark.analysis.task_views import SINGLE, summary, task_figure
from hallmark.analysis.tasks import TaskTable
from hallmark.checks import require, setting
from hallmark.engine.build import build
from hallmark.engine.search.jobs import Search
from hallmark.engine.search.plans import Points
from hallmark.engine.search.study import SweepStudy
from hallmark.engine.terminal import say
from hallmark.report.sources import open_results
from hallmark.report.wording import duration
from hallmark.storage.files import write_csv, write_text

STEM = "tasks"


def task_table(search: Search) -> TaskTable | None:
    """What `sweep.table` describes; None where it is null.

    Raises:
        SettingError: a wrong value, or a plan that does not list its jobs.
    """
    node = search.config.sweep.get("table")
    if node is None:
        return None
    points = isinstance(search.plan, Points)
    require(points, "sweep.table", str(node), "null, or a plan that lists its jobs")
    table: TaskTable = build(node)
    with setting("sweep.table"):
        table.check_jobs(list(search.listed))
    return table


def write_task_table(table: TaskTable, study: SweepStudy, title: str) -> None:
    """Write `tasks.csv`, `tasks.md` and `figures/tasks.png` from the stored predictions of every job, and print them.

    Not as long as a job is pruned or failed.

    Raises:
        ValueError: a job has no predictions of the split that may be read, or other rows than the rest.
    """
    if len(study.completed) < len(study.trials()):
        say(f"{STEM}.md: written once every job is complete")
        return
    predictions, seconds = {}, {}
    for trial in study.completed:
        name = trial.params[Points.KEY]
        predictions[name] = _predictions(Path(trial.user_attrs["directory"]), name, table.split)
        seconds[name] = float(trial.user_attrs.get("seconds", 0.0))
    with setting("sweep.table"):
        found = table.table(predictions)
    single = sum(seconds[job] for job in set(table.single.values()))
    found["seconds"] = [single if name == SINGLE else seconds[name] for name in found["method"]]
    write_csv(study.directory / f"{STEM}.csv", found)
    write_text(study.directory / f"{STEM}.md", table.markdown(found))
    save_figure(study.directory / "figures" / f"{STEM}.png", task_figure(found))
    show(f"{title} · {table.split} · {duration(sum(seconds.values()))} in all", summary(found, intervals=False))
    say(table.note())


def _predictions(directory: Path, name: str, split: str) -> pd.DataFrame:
    (result,) = open_results([directory])
    found = result.predictions(split)
    if found is None:
        kept = "; those of the test split only after evaluate.py run=... split=test" if split == "test" else ""
        raise ValueError(f"sweep.table.split={split}: job {name} ({directory}) has no such predictions{kept}")
    return found
