"""Whether a result may be released: what is asked of it, and which questions were waived."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hallmark.checks import require
from hallmark.runs.identity import git_state, package_versions
from hallmark.runs.record import Record, RunState
from hallmark.runs.repeats import FILE, RepeatSet, Result, runs_of


@dataclass(frozen=True)
class ReadinessCheck:
    """One question.

    Attributes:
        problem: what is wrong and what to do about it; None where nothing is.
        waived: released in spite of a problem.
    """

    name: str
    problem: str | None
    waived: bool

    def __str__(self) -> str:
        if self.problem is None:
            return "passed"
        return f"waived: {self.problem}" if self.waived else self.problem


def check_readiness(result: Result, waived: Sequence[str]) -> list[ReadinessCheck]:
    """Every check of `CHECKS` with its outcome.

    Raises:
        SettingError: a name in `waived` is none of a check.
        ValueError: a check that is not waived found a problem; all of them are listed at once.
    """
    unknown = [name for name in waived if name not in CHECKS]
    require(not unknown, "--waive", " ".join(unknown), f"one of {', '.join(CHECKS)}")
    checks = [ReadinessCheck(name, "; ".join(ask(result)) or None, name in waived) for name, ask in CHECKS.items()]
    failed = [check for check in checks if check.problem and not check.waived]
    if failed:
        names = " ".join(f"--waive {check.name}" for check in failed)
        listed = "".join(f"\n  {check.name}: {check}" for check in failed)
        anyway = f"{names} releases it all the same, and the archive says so"
        raise ValueError(f"{result.directory} cannot be released yet:{listed}\n{anyway}")
    return checks


def repeats_of(result: Result) -> RepeatSet | None:
    """The finished set that `result` is, or a member of; None where it has no repeats."""
    if isinstance(result, RepeatSet):
        sets = [result]
    else:
        directory = result.directory.resolve()
        beside = [RepeatSet(file.parent) for file in sorted(directory.parent.glob(f"*/{FILE}"))]
        sets = [repeats for repeats in beside if directory in [member.directory for member in repeats.members]]
    finished = [repeats for repeats in sets if repeats.record.state is RunState.DONE and len(repeats.members) > 1]
    return max(finished, key=lambda repeats: len(repeats.different), default=None)


def _git(result: Result) -> Iterable[str]:
    now = git_state()
    if now["commit"] is None:
        yield "the working folder is in no git repository: release from a clone of the project"
        return
    if now["dirty"]:
        yield "the working tree has uncommitted changes: commit or stash them"
    states = [record.git for record in _records(result)]
    if any(state["dirty"] for state in states):
        yield "it was trained with uncommitted changes: commit them and train again with rerun=true"
    commits = sorted({str(state["commit"])[:12] for state in states})
    if commits != [now["commit"][:12]]:
        moved = f"it was trained at commit {', '.join(commits)}, and the tree is at {now['commit'][:12]}"
        yield f"{moved}: check that commit out, or train again with rerun=true"


def _leakage(result: Result) -> Iterable[str]:
    records = _records(result)
    verdicts = {(name, verdict) for record in records for name, verdict in record.leakage.get("checks", {}).items()}
    leaks, unknown = (sorted({name for name, verdict in verdicts if verdict == kind}) for kind in ("found", "unknown"))
    if not all(record.leakage.get("checks") for record in records):
        yield "its data was not checked: train again with rerun=true"
    if leaks:
        yield f"splits share content ({', '.join(leaks)}; see leakage.csv): correct data or groups and train again"
    if unknown:
        yield f"nothing is known of {', '.join(unknown)}: give the data what that check compares, such as groups"


def _repeats(result: Result) -> Iterable[str]:
    repeats = repeats_of(result)
    if repeats is None:
        yield "there is one run and no spread: train with repeat=seeds:5 and release that set, or a run of it"
    elif len(repeats.different) == 1:
        same = f"the seed changes nothing in this model, its {len(repeats.members)} runs predict the same"
        yield f"{same}: train with repeat=folds:5 and release that set"


def _selection(result: Result) -> Iterable[str]:
    selected = [record.selected for record in _records(result)]
    if None in selected:
        yield "nothing was measured: no row of its data is labelled"
    metrics = {str(choice["metric"]) for choice in selected if choice is not None}
    if other := sorted(metric for metric in metrics if not metric.startswith("val/")):
        yield f"weights were selected on {', '.join(other)}: select on validation, such as monitor.metric=val/macro_f1"


def _environment(result: Result) -> Iterable[str]:
    now = package_versions()
    then = {(name, version) for record in _records(result) for name, version in record.versions.items()}
    if changed := sorted(f"{name} {version} then, {now.get(name)} now" for name, version in then - set(now.items())):
        packages = f"packages changed since the training ({', '.join(changed)})"
        yield f"{packages}: install what it was trained with, or train again with rerun=true"


def _records(result: Result) -> list[Record]:
    return [run.record for run in runs_of(result)]


CHECKS: dict[str, Callable[[Result], Iterable[str]]] = {
    "git": _git,
    "leakage": _leakage,
    "repeats": _repeats,
    "selection": _selection,
    "environment": _environment,
}
