"""Train one setting as often as `repeat` says, as one result."""

import re
from collections.abc import Iterator
from os.path import relpath
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf
from rich.table import Table

from hallmark.checks import Interrupted, SettingError, require
from hallmark.engine.cached.done import is_noted, report_noted
from hallmark.engine.command import FIT_SETTINGS, command_line, refuse_foreign_ranks, root, typed_settings
from hallmark.engine.job import Job, in_group
from hallmark.engine.messages import echo, print_block
from hallmark.runs.metrics import OUT_OF_FOLD
from hallmark.runs.record import Record, RunState
from hallmark.runs.repeats import RepeatRecord, RepeatSet
from hallmark.runs.run import locked
from hallmark.statistics.text import number_text
from hallmark.storage.files import write_text

if TYPE_CHECKING:
    from hallmark.engine.setup import ShouldPrune

_EXPECTED = "seeds:N, folds:K, or folds:KxN (N repetitions with seeds of their own), such as seeds:5"


def train_repeats(config: DictConfig, should_prune: "ShouldPrune | None" = None) -> float:
    """Train once, or as often as `repeat` says.

    Each repeat is the ordinary run of its own seed and fold, so a set that was stopped goes on where it was.

    Args:
        should_prune: as in `train`; of several repeats it is asked after each but the last, with how many there were
            and the mean of their values.

    Returns:
        The best value of `monitor.metric`, the mean over all repeats.

    Raises:
        ValueError: as `train`, and for a `repeat` that is none of its forms; before the first repeat starts.
        Interrupted: asked to stop; the same command goes on.
    """
    if config.get("repeat") is None:
        return _train(config, should_prune)
    job, members = _set(config)
    jobs = [Job.of(member) for _, _, member in members]
    if not all(map(is_noted, jobs)):
        from hallmark.engine.build import check_types
        from hallmark.engine.setup import check_job, silence_expected_warnings  # torch loads here

        silence_expected_warnings()
        for member_job in jobs:
            check_types(member_job.config, member_job.trusted)
        if not job.directory.exists():
            check_job(jobs[0])
        if any(each.presets for each in jobs):
            from hallmark.engine.make_parents import announce

            announce(jobs)
    values: list[float] = []
    with locked(job.directory):
        write_text(job.directory / "config.yaml", OmegaConf.to_yaml(job.stored))
        repeats = RepeatSet.create(job.directory, _record(job, members, jobs))
        try:
            for number, (note, _, member) in enumerate(members, start=1):
                echo(f"{config.name}: repeat {number} of {len(members)}, {note}")
                values.append(_train(member))
                if should_prune and number < len(members) and should_prune(number, sum(values) / number):
                    raise Interrupted(f"pruned after repeat {number}")
        except (Interrupted, KeyboardInterrupt):
            repeats.set_state(RunState.INTERRUPTED)
            raise
        except BaseException:
            repeats.set_state(RunState.FAILED)
            raise
        repeats = RepeatSet(job.directory)  # its runs are read from disk as they are now
        repeats.record.parents |= {role: _made_parents(repeats, role) for role in job.presets}
        repeats.write_summary()
        repeats.set_state(RunState.DONE)
        print_repeats(repeats)
        echo(f"{job.directory}")
    return sum(values) / len(values)


def members_of(config: DictConfig) -> list[DictConfig]:
    """The configuration of each run that `repeat` asks for; `config` itself where it asks for none."""
    return [config] if config.get("repeat") is None else [member for _, _, member in _members(config)]


def is_done(config: DictConfig) -> bool:
    """Whether every run of `config` is noted as done, and nothing else is asked for.

    Where such a note is not true any more, `train_repeats` does what there is to do.
    """
    typed = typed_settings()
    if config.get("analysis") or any(root(key) == OUT_OF_FOLD for key in typed):
        return False
    try:
        configs = [config] if config.get("repeat") is None else [member for _, _, member in _set(config)[1]]
        jobs = [Job.of(each) for each in configs]
    except ValueError:  # of a setting, which the way of a fit answers
        return False
    return all(map(is_noted, jobs)) and not (set(typed) & set(FIT_SETTINGS) and not all(map(_is_fitted, jobs)))


def _is_fitted(job: Job) -> bool:
    record = Record.read(job.directory)
    return record is not None and record.selected is not None and record.selected["checkpoint"] is not None


def _set(config: DictConfig) -> tuple[Job, list[tuple[str, int, DictConfig]]]:
    """The job of a set of repeats, and (note, repetition, configuration) of each of its runs."""
    refuse_fixed_place(config, "a set of repeats")
    job = Job.of(config)
    members = list(_members(config))
    for _, _, member in members:
        in_group(member, f"{config.name}-{job.id}")
    return job, members


def refuse_fixed_place(config: DictConfig, several: str) -> None:
    """Raise `SettingError` where `config`, of which `several` runs are made, has a fixed place, which is for one."""
    fixed = config.paths.run_dir
    require(fixed is None, "paths.run_dir", fixed, f"null, because {several} has a place for each of its runs")


def _train(config: DictConfig, should_prune: "ShouldPrune | None" = None) -> float:
    """As `train`, which is not needed where a note says that the run is done."""
    refuse_foreign_ranks()
    if (value := report_noted(Job.of(config))) is not None:
        return value
    from hallmark.engine.train import train  # torch loads here

    return train(config, should_prune)


def check_repeat(config: DictConfig) -> None:
    """Raise `SettingError` unless `repeat` is null or one of its forms over a split that it can repeat."""
    if config.get("repeat") is not None:
        next(_members(config))


def print_repeats(repeats: RepeatSet) -> None:
    """Print the table of the runs, and which of them only repeat another."""
    print_block(repeats_table(repeats))
    if repeats.identical:
        echo(f"warning: {repeats.identical_text}")


def repeats_table(repeats: RepeatSet) -> Table:
    """A rich table of `RepeatSet.table`."""
    frame = repeats.table().drop(columns="checkpoint")
    frame["seconds"] = [f"{seconds:.1f}" for seconds in frame["seconds"]]
    table = Table(*frame, title=f"{repeats.record.name} · mean and std over {repeats.over}")
    for position, row in enumerate(frame.itertuples(index=False)):
        cells = [number_text(cell) if cell is None or isinstance(cell, float) else str(cell) for cell in row]
        table.add_row(*cells, end_section=position == len(frame) - 3)
    return table


def _members(config: DictConfig) -> Iterator[tuple[str, int, DictConfig]]:
    """(note, repetition, configuration) of each repeat."""
    match = re.fullmatch(r"seeds:([1-9]\d*)|folds:([1-9]\d*)(?:x([1-9]\d*))?", str(config.repeat))
    require(match is not None, "repeat", config.repeat, _EXPECTED)
    assert match is not None
    seeds, folds, repetitions = (int(part) if part else 0 for part in match.groups())
    if seeds:
        for repetition in range(seeds):
            seed = config.seed + repetition
            yield f"seed {seed}", repetition, _with(config, {"seed": seed})
        return
    require(folds >= 2, "repeat", config.repeat, f"at least two folds: {_EXPECTED}")
    plan = config.data.split
    if not {"val", "seed"} <= set(plan):
        raise SettingError("repeat", config.repeat, f"a split by shares or folds to repeat over, not {plan._target_}")
    further = {name: plan[name] for name in ("calibration", "meta") if plan.get(name)}
    for repetition in range(max(1, repetitions)):
        for fold in range(folds):
            note = f"fold {fold}" + (f", repetition {repetition}" if repetitions else "")
            split = {
                "_target_": "hallmark.data.splits.KFold", "folds": folds, "fold": fold, "val": plan.val,
                "seed": plan.seed + repetition, **further,
            }  # fmt: skip
            yield note, repetition, _with(config, {"seed": config.seed + repetition, "data.split": split})


def _with(config: DictConfig, values: dict[str, object]) -> DictConfig:
    changed = config.copy()
    OmegaConf.set_struct(changed, False)
    for key, value in {**values, "repeat": None}.items():
        OmegaConf.update(changed, key, value, merge=False)
    return changed


def _made_parents(repeats: RepeatSet, role: str) -> dict[str, str]:
    """What the members' parents in the `role` of a preset were: one for all, or one each."""
    entries = [member.run.record.parents[role] for member in repeats.members]
    ids = dict.fromkeys(entry["run_id"] for entry in entries)
    return {"name": entries[0]["name"], "run_id": ", ".join(ids), "use": entries[0]["use"]}


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
            {"note": note, "repetition": repetition, "directory": relpath(member_job.directory, job.directory)}
            for (note, repetition, _), member_job in zip(members, jobs, strict=True)
        ],
        parents={
            role: {**parent.identity, "name": parent.name, "source": parent.source}
            for role, parent in job.parents.items()
            if role not in job.presets
        },
    )
