"""Train one setting as often as `repeat` says, as one result."""

import re
from collections.abc import Iterator
from os.path import relpath
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from hallmark.checks import Interrupted, SettingError, require
from hallmark.engine.build import check_types
from hallmark.engine.command import command_line
from hallmark.engine.job import Job, in_group
from hallmark.engine.terminal import say
from hallmark.engine.train import Hopeless, check, train
from hallmark.runs.record import RunState
from hallmark.runs.repeats import RepeatRecord, RepeatSet
from hallmark.runs.run import held
from hallmark.statistics.text import NOTHING, number_text
from hallmark.storage.files import write_text

_EXPECTED = "seeds:N, folds:K, or folds:KxN (N repetitions with seeds of their own), such as seeds:5"


def train_repeats(config: DictConfig, hopeless: Hopeless | None = None) -> float:
    """Train once, or as often as `repeat` says.

    Each repeat is the ordinary run of its own seed and fold, so a set that was stopped goes on where it was.

    Args:
        hopeless: as in `train`; of several repeats it is asked after each but the last, with how many there were
            and the mean of their values.

    Returns:
        The best value of `monitor.metric`, the mean over all repeats.

    Raises:
        ValueError: as `train`, and for a `repeat` that is none of its forms; before the first repeat starts.
        Interrupted: asked to stop; the same command goes on.
    """
    if config.get("repeat") is None:
        return train(config, hopeless)
    job = Job.of(config)
    members = [(note, repetition, _placed(member, note)) for note, repetition, member in _members(config)]
    for _, _, member in members:
        in_group(member, f"{config.name}-{job.id}")
    jobs = [Job.of(member) for _, _, member in members]
    for one in jobs:
        check_types(one.config, one.trusted)
    if not job.directory.exists():
        check(jobs[0])
    with held(job.directory):
        write_text(job.directory / "config.yaml", OmegaConf.to_yaml(job.stored))
        repeats = RepeatSet.create(job.directory, _record(job, members, jobs))
        try:
            values = _train_all(repeats, [member for _, _, member in members], hopeless)
        except (Interrupted, KeyboardInterrupt):
            repeats.become(RunState.INTERRUPTED)
            raise
        except BaseException:
            repeats.become(RunState.FAILED)
            raise
        _finish(job.directory)
    return sum(values) / len(values)


def check_repeat(config: DictConfig) -> None:
    """Raise `SettingError` unless `repeat` is null or one of its forms over a split that it can repeat."""
    if config.get("repeat") is not None:
        next(_members(config))


def _train_all(repeats: RepeatSet, members: list[DictConfig], hopeless: Hopeless | None) -> list[float]:
    values: list[float] = []
    for number, member in enumerate(members, start=1):
        say(f"{repeats.record.name}: repeat {number} of {len(members)}, {repeats.record.members[number - 1]['note']}")
        values.append(train(member))
        if hopeless and number < len(members) and hopeless(number, sum(values) / number):
            raise Interrupted(f"judged hopeless: stopped after repeat {number}")
    return values


def _finish(directory: Path) -> None:
    done = RepeatSet(directory)  # its runs are read from disk as they are now
    done.write_summary()
    done.become(RunState.DONE)
    print_repeats(done)
    say(f"{directory}")


def print_repeats(repeats: RepeatSet) -> None:
    """Print the table of the runs, and which of them only repeat another."""
    Console().print(repeats_table(repeats))
    if repeats.identical:
        say(f"warning: {repeats.identical_text}")


def repeats_table(repeats: RepeatSet) -> Table:
    """A rich table of `RepeatSet.table`."""
    frame = repeats.table().drop(columns="checkpoint")
    frame["seconds"] = [f"{seconds:.1f}" for seconds in frame["seconds"]]
    table = Table(*frame, title=f"{repeats.record.name} · mean and std over {repeats.over}")
    for place, row in enumerate(frame.itertuples(index=False)):
        table.add_row(*map(_cell, row), end_section=place == len(frame) - 3)
    return table


def _cell(value: Any) -> str:
    if pd.isna(value):
        return NOTHING
    return number_text(value) if isinstance(value, float) else str(value)


def _members(config: DictConfig) -> Iterator[tuple[str, int, DictConfig]]:
    """(note, repetition, configuration) of each repeat."""
    found = re.fullmatch(r"seeds:([1-9]\d*)|folds:([1-9]\d*)(?:x([1-9]\d*))?", str(config.repeat))
    require(found is not None, "repeat", config.repeat, _EXPECTED)
    assert found is not None
    seeds, folds, repetitions = (int(part) if part else 0 for part in found.groups())
    if seeds:
        for place in range(seeds):
            seed = config.seed + place
            yield f"seed {seed}", place, _with(config, {"seed": seed})
        return
    require(folds >= 2, "repeat", config.repeat, f"at least two folds: {_EXPECTED}")
    for place in range(max(1, repetitions)):
        for fold in range(folds):
            note = f"fold {fold}" + (f", repetition {place}" if repetitions else "")
            split = _fold(config, folds, fold, place)
            yield note, place, _with(config, {"seed": config.seed + place, "data.split": split})


def _fold(config: DictConfig, folds: int, fold: int, repetition: int) -> dict[str, object]:
    plan = config.data.split
    if not {"val", "seed"} <= set(plan):
        raise SettingError("repeat", config.repeat, f"a split by shares or folds to repeat over, not {plan._target_}")
    seed = plan.seed + repetition
    return {
        "_target_": "hallmark.data.splits.KFold", "folds": folds, "fold": fold, "val": plan.val, "seed": seed,
    }  # fmt: skip


def _with(config: DictConfig, values: dict[str, object]) -> DictConfig:
    changed = config.copy()
    OmegaConf.set_struct(changed, False)
    for key, value in {**values, "repeat": None}.items():
        OmegaConf.update(changed, key, value, merge=False)
    return changed


def _placed(member: DictConfig, note: str) -> DictConfig:
    if member.paths.run_dir:
        member.paths.run_dir = str(Path(member.paths.run_dir) / re.sub(r"\W+", "-", note))
    return member


def _record(job: Job, members: list[tuple[str, int, DictConfig]], jobs: list[Job]) -> RepeatRecord:
    return RepeatRecord(
        name=job.config.name,
        set_id=job.id,
        repeat=job.config.repeat,
        state=RunState.RUNNING,
        metric=job.config.monitor.metric,
        mode=job.config.monitor.mode,
        second=job.config.monitor.second,
        command=command_line(),
        members=[
            {"note": note, "repetition": repetition, "directory": relpath(one.directory, job.directory)}
            for (note, repetition, _), one in zip(members, jobs, strict=True)
        ],
    )
