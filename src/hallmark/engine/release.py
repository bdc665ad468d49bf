"""Release a result: check it, measure it once on the test split, archive it, write it down, tag it."""

import json
import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import save_file

from hallmark.engine.finished import sealed_tables
from hallmark.engine.loggers.tracking import track_release
from hallmark.engine.predict import add_missing_metrics
from hallmark.engine.readiness import Check, check_readiness, repeats_of
from hallmark.engine.results import check_markers, results_block, write_between_markers
from hallmark.engine.stored import read_config, refuse_links
from hallmark.engine.terminal import say
from hallmark.engine.train import quieten
from hallmark.engine.trust import NO_TRUST, Trust
from hallmark.engine.verify import WEIGHTS, contradictions, tensors_of, verify
from hallmark.report.wording import command_text
from hallmark.runs.archive import ArchiveError, check_names, write_archive
from hallmark.runs.identity import environment
from hallmark.runs.record import Record
from hallmark.runs.repeats import FILE, RepeatRecord, RepeatSet, Result, open_result, record_of, runs_of
from hallmark.runs.run import Run
from hallmark.runs.seal import Look, SealedError, receipts_of
from hallmark.storage.files import atomic_path

_STORED = (
    "*.yaml",
    "*.json",
    "*.csv",
    "*.txt",
    "predictions/*.parquet",
    "figures/*",
    "analysis/*",
    "checkpoints/best.ckpt",
)
_README = """# {name} {id}

Made by `{command}` at commit {commit}.

- `runs/`: configuration, record, curves, metrics, predictions, split ids, figures and weights of each run.
  `checkpoints/best.ckpt` is what `evaluate.py` loads; `weights.safetensors` holds its tensors. Frozen encoders are in
  neither: the configuration names them and the checkpoint holds their hash. Where nothing is fitted there is neither
  file: the configuration names the networks, and `calibration.json` holds what was chosen.
- `set/` or `repeats/`: the set of repeats, with mean and standard deviation.
- `RESULTS.md`: settings and results; `receipts.json`: every look at the test split; `release.json`: the checks.
- `environment.txt`: every installed package. `MANIFEST.sha256`: `sha256sum --check MANIFEST.sha256` reads it.

Verify: `hallmark release --verify {id_file}` compares every byte, and computes every metric again from the predictions.
Checksums show damage and mistakes. They are no signature: whoever changes a file can make new ones.

Make it again: check the commit out, `pip install -r environment.txt`, `pip install --no-deps -e .`, then the command.
"""


def release(
    path: Path, *, waived: Sequence[str], into: Path | None, tagged: bool, trust: Trust = NO_TRUST
) -> Path:  # fmt: skip
    """Release the finished run or set of repeats at `path`; gives the archive.

    Whatever can be refused is refused before the test split is looked at. The archive is verified before it takes its
    name, and only then the results are written down and the commit is tagged.

    Args:
        waived: names of checks that may fail; the archive says so.
        into: Markdown file for the block of settings and results; RESULTS.md beside the archive if None.
        tagged: tag the commit `hallmark/<name>/<id>`.
        trust: what the runs' configurations may use beside Hallmark's own classes and their own folders.

    Raises:
        ValueError: not a finished result, or not ready: all reasons are listed at once.
        SealedError: the test split was opened for other runs.
    """
    quieten()
    result = open_result(path)
    for run in runs_of(result):
        refuse_links(run.directory, trust)
        read_config(run.directory, trust)
    checks = check_readiness(result, waived)
    for check in checks:
        if check.waived and check.problem is None:
            say(f"--waive {check.name}: no effect, because this check passes")
    tag = _tag_name(result) if tagged and _at_its_commit(checks) else None
    archive = result.directory.parent / f"{_label(result)}.zip"
    into = into or archive.parent / "RESULTS.md"
    check_markers(into, record_of(result).name)
    _check_files(result, archive, into)
    _measure(result, trust)
    looks = receipts_of(result)
    block = results_block(result, checks, looks)
    _pack(archive, result, checks, looks, block)
    say(f"released: {archive}")
    write_between_markers(into, record_of(result).name, block)
    say(f"settings and results: {into}")
    if tag is not None:
        _tag(tag, archive)
    for run in runs_of(result):
        track_release(run, archive, trust)
    return archive


def _check_files(result: Result, archive: Path, into: Path) -> None:
    """Raise `ValueError` for what would stop the release, or its verification, after the test split was looked at."""
    problems = [f"{folder}: cannot be written to" for folder in {archive.parent, into.parent} if not _writable(folder)]
    runs = runs_of(result)
    for run in runs:
        findings = [*contradictions(run, run.metrics), *_lost_weights(run)]
        problems += [f"{run.directory}: {problem}" for problem in findings]
    if len({run.directory.name for run in runs}) < len(runs):
        problems.append(f"{result.directory}: two of its runs have directories of the same name")
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise ValueError(f"{result.directory} cannot be released:{listed}")
    try:
        check_names([f"{archive.stem}/{name}" for name in {*dict(_stored(result)), *dict(_repeats(result))}])
    except ArchiveError as error:
        raise ValueError(f"{archive}: not written: {error}") from None


def _writable(folder: Path) -> bool:
    existing = next(parent for parent in (folder, *folder.resolve().parents) if parent.exists())
    return existing.is_dir() and os.access(existing, os.W_OK)


def _lost_weights(run: Run) -> Iterator[str]:
    assert run.record is not None
    if run.best.exists():
        tensors_of(run.best)  # refuses what is damaged or unsafe
    elif selected := (run.record.selected or {}).get("checkpoint"):
        yield f"{selected} was selected and is missing: train again with rerun=true"


def _measure(result: Result, trust: Trust) -> None:
    """The one look at the test split, unless these runs had it."""
    try:
        sealed_tables(runs_of(result), trust=trust)
    except SealedError as error:
        command = f'python evaluate.py run={result.directory} split=test seal.reason="..."'
        raise SealedError(f"{error}\n`{command}` does, and the release can follow it") from error
    for run in runs_of(result):
        with run.locked():
            add_missing_metrics(run)
    if isinstance(result, RepeatSet):
        result.write_summary()


def _pack(archive: Path, result: Result, checks: Sequence[Check], looks: Sequence[Look], block: str) -> None:
    """Write the archive and verify it; it takes its name only if it agrees with itself.

    Raises:
        ValueError: it does not; all findings are listed.
    """
    texts = {
        "README.md": _readme(result),
        "RESULTS.md": f"{block}\n",
        "command.txt": f"{command_text(record_of(result).command)}\n",
        "environment.txt": environment(),
        "receipts.json": _json([asdict(look) for look in looks]),
        "release.json": _json({
            "name": record_of(result).name, "id": _id(result),
            "kind": "set" if isinstance(result, RepeatSet) else "run",
            "runs": [f"runs/{run.directory.name}" for run in runs_of(result)],
            "checks": {check.name: str(check) for check in checks},
        }),
    }  # fmt: skip
    with TemporaryDirectory() as folder, atomic_path(archive) as temporary:
        weights = dict(_weights(result, Path(folder)))
        files = {**texts, **dict(_stored(result)), **dict(_repeats(result)), **weights}
        write_archive(temporary, files, folder=archive.stem)
        try:
            verify(temporary)
        except ValueError as error:
            problem = str(error).removeprefix(f"{temporary}: ")
            raise ValueError(f"{archive}: not released: {problem}") from error


def _stored(result: Result) -> Iterator[tuple[str, Path]]:
    for run in runs_of(result):
        yield from _files(f"runs/{run.directory.name}", run.directory)


def _repeats(result: Result) -> Iterator[tuple[str, Path | str]]:
    """The set that is released, pointing at the runs in the archive; of a set beside it only what it measured."""
    repeats = repeats_of(result)
    if isinstance(result, RepeatSet):
        yield from _files("set", result.directory)
        raw = asdict(result.record)
        for member, run in zip(raw["members"], runs_of(result), strict=True):
            member["directory"] = f"../runs/{run.directory.name}"
        yield f"set/{FILE}", _json(raw)
    elif repeats is not None:
        yield from ((f"repeats/{name}", repeats.directory / name) for name in (FILE, "runs.csv", "metrics.json"))


def _files(prefix: str, directory: Path) -> Iterator[tuple[str, Path]]:
    for pattern in _STORED:
        for file in directory.glob(pattern):
            if file.is_file() and not file.name.startswith("."):
                yield f"{prefix}/{file.relative_to(directory).as_posix()}", file


def _weights(result: Result, folder: Path) -> Iterator[tuple[str, Path]]:
    """The tensors of each checkpoint without pickle; names may share memory there, which safetensors refuses."""
    for run in runs_of(result):
        if not run.best.exists():
            continue  # nothing was fitted
        file = folder / f"{run.directory.name}.safetensors"
        save_file({name: tensor.clone().contiguous() for name, tensor in tensors_of(run.best).items()}, file)
        yield f"runs/{run.directory.name}/{WEIGHTS}", file


def _readme(result: Result) -> str:
    record, first = record_of(result), record_of(runs_of(result)[0])
    assert isinstance(first, Record)
    return _README.format(
        name=record.name, id=_id(result), command=command_text(record.command),
        commit=first.git["commit"] or "unknown", id_file=f"{_label(result)}.zip",
    )  # fmt: skip


def _at_its_commit(checks: Sequence[Check]) -> bool:
    """Whether the checked-out commit is what the runs were made of."""
    clean = all(check.problem is None for check in checks if check.name == "git")
    if not clean:
        say("not tagged, because the check of git was waived")
    return clean


def _tag_name(result: Result) -> str:
    """The tag to be made.

    Raises:
        ValueError: it is there already, on another commit, or git could not make it.
    """
    tag = f"hallmark/{record_of(result).name}/{_id(result)}"
    there, here = _git("rev-parse", "--verify", "--quiet", f"{tag}^{{commit}}"), _git("rev-parse", "HEAD")
    if there.returncode == 0 and there.stdout != here.stdout:
        raise ValueError(f"the tag {tag} is on another commit: delete it (git tag -d {tag}), or add --no-tag")
    if _git("check-ref-format", f"refs/tags/{tag}").returncode:
        raise ValueError(f"name={record_of(result).name}: git makes no tag {tag} of it; add --no-tag")
    if there.returncode and _git("var", "GIT_COMMITTER_IDENT").returncode:
        raise ValueError("git does not know who tags: git config user.name and user.email, or add --no-tag")
    return tag


def _tag(tag: str, archive: Path) -> None:
    if _git("rev-parse", "--verify", "--quiet", f"refs/tags/{tag}").returncode == 0:
        say(f"tag {tag} is there")
        return
    made = _git("tag", "--annotate", tag, "--message", f"Released as {archive.name}")
    if made.returncode:
        raise ValueError(f"{archive} is whole, but git made no tag {tag}: {made.stderr.strip()}")
    say(f"tag {tag}; `git push origin {shlex.quote(tag)}` shares it")


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, timeout=30)


def _id(result: Result) -> str:
    record = record_of(result)
    return record.set_id if isinstance(record, RepeatRecord) else record.run_id


def _label(result: Result) -> str:
    return f"{record_of(result).name.replace('/', '-')}-{_id(result)}"


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
