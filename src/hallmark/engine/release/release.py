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

from hallmark.engine.config.stored import read_config, refuse_links
from hallmark.engine.config.trust import NO_TRUST, Trust
from hallmark.engine.finished import sealed_tables
from hallmark.engine.loggers.tracking import track_release
from hallmark.engine.messages import echo
from hallmark.engine.predict import add_missing_metrics
from hallmark.engine.release.readiness import ReadinessCheck, check_readiness, repeats_of
from hallmark.engine.release.results import check_markers, results_block, write_between_markers
from hallmark.engine.release.verify import WEIGHTS, changed_parents, contradictions, tensors_of, verify
from hallmark.engine.setup import silence_expected_warnings
from hallmark.runs.archive import ArchiveError, check_names, write_archive
from hallmark.runs.fitted import FOLDER, changes
from hallmark.runs.identity import installed_packages
from hallmark.runs.repeats import FILE, RepeatRecord, RepeatSet, Result, open_result, runs_of
from hallmark.runs.seal import SealedError, TestAccess, accesses_of
from hallmark.storage.files import atomic_path
from hallmark.storage.secrets import command_text

_STORED = (
    "*.yaml",
    "*.json",
    "*.csv",
    "*.txt",
    "predictions/*.parquet",
    "figures/*",
    "analysis/*",
    "checkpoints/best.ckpt",
    f"{FOLDER}/*",
    "parents/**/*",
)
_README = """# {name} {id}

Made by `{command}` at commit {commit}.

- `runs/`: configuration, record, curves, metrics, predictions, split ids, figures and weights of each run.
  `checkpoints/best.ckpt` is what `evaluate.py` loads; `weights.safetensors` holds its tensors. Frozen encoders are in
  neither: the configuration names them and the checkpoint holds their hash. Where nothing is trained by steps there is
  neither file: the configuration names the networks, and `fitted` in `record.json` the files of what was fitted or
  chosen, such as `calibration.json` or those in `state/`, with their hashes. `parents/` holds the
  runs that a run was made with, as far as it needs them.
- `set/` or `repeats/`: the set of repeats, with mean and standard deviation.
- `RESULTS.md`: settings and results; `receipts.json`: every access to the test split; `release.json`: the checks.
- `environment.txt`: every installed package. `MANIFEST.sha256`: `sha256sum --check MANIFEST.sha256` reads it.

Verify: `hallmark release --verify {id_file}` compares every byte, and computes every metric again from the predictions.
Checksums show damage and mistakes. They are no signature: whoever changes a file can make new ones.

Reproduce: check the commit out, `pip install -r environment.txt`, `pip install --no-deps -e .`, then the command.
"""


def release(
    path: Path, *, waived: Sequence[str], into: Path | None, tagged: bool, trust: Trust = NO_TRUST
) -> Path:  # fmt: skip
    """Release the finished run or set of repeats at `path`; gives the archive.

    Whatever can be refused is refused before the test split is opened. The archive is verified before it takes its
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
    silence_expected_warnings()
    result = open_result(path)
    for run in runs_of(result):
        refuse_links(run.directory, trust)
        read_config(run.directory, trust)
    checks = check_readiness(result, waived)
    for check in checks:
        if check.waived and check.problem is None:
            echo(f"--waive {check.name}: no effect, because this check passes")
    # A tag says that the commit which is checked out is what the runs were made of.
    if tagged and any(check.name == "git" and check.problem is not None for check in checks):
        echo("not tagged, because the check of git was waived")
        tagged = False
    tag = _tag_name(result) if tagged else None
    archive = result.directory.parent / f"{_label(result)}.zip"
    into = into or archive.parent / "RESULTS.md"
    # Whatever can go wrong is looked at before the one access to the test split, which cannot be taken back.
    check_markers(into, result.record.name)
    _check_files(result, archive, into)
    _measure(result, trust)
    accesses = accesses_of(result)
    block = results_block(result, checks, accesses)
    _pack(archive, result, checks, accesses, block)
    echo(f"released: {archive}")
    write_between_markers(into, result.record.name, block)
    echo(f"settings and results: {into}")
    if tag is not None:
        _tag(tag, archive)
    for run in runs_of(result):
        track_release(run, archive, trust)
    return archive


def _check_files(result: Result, archive: Path, into: Path) -> None:
    """Raise `ValueError` for what would stop the release, or its verification, after the test split was opened."""
    problems = []
    for folder in {archive.parent, into.parent}:
        existing = next(parent for parent in (folder, *folder.resolve().parents) if parent.exists())
        if not (existing.is_dir() and os.access(existing, os.W_OK)):
            problems.append(f"{folder}: cannot be written to")
    runs = runs_of(result)
    for run in runs:
        findings = (
            *contradictions(run, run.metrics),
            *changes(run.directory, run.record.fitted),
            *changed_parents(run),
        )
        problems += [f"{run.directory}: {problem}" for problem in findings]
        if run.best.exists():
            tensors_of(run.best)  # refuses what is damaged or unsafe
        elif selected := (run.record.selected or {}).get("checkpoint"):
            problems.append(f"{run.directory}: {selected} was selected and is missing: train again with rerun=true")
    if len({run.directory.name for run in runs}) < len(runs):
        problems.append(f"{result.directory}: two of its runs have directories of the same name")
    if problems:
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise ValueError(f"{result.directory} cannot be released:{listed}")
    try:
        check_names([f"{archive.stem}/{name}" for name in {*dict(_stored(result)), *dict(_repeats(result))}])
    except ArchiveError as error:
        raise ValueError(f"{archive}: not written: {error}") from None


def _measure(result: Result, trust: Trust) -> None:
    """The one access to the test split, unless these runs had it."""
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


def _pack(
    archive: Path, result: Result, checks: Sequence[ReadinessCheck], accesses: Sequence[TestAccess], block: str
) -> None:
    """Write the archive and verify it; it takes its name only if it agrees with itself.

    Raises:
        ValueError: it does not; all findings are listed.
    """
    texts = {
        "README.md": _README.format(
            name=result.record.name, id=_id(result), command=command_text(result.record.command),
            commit=runs_of(result)[0].record.git["commit"] or "unknown", id_file=f"{_label(result)}.zip",
        ),
        "RESULTS.md": f"{block}\n",
        "command.txt": f"{command_text(result.record.command)}\n",
        "environment.txt": installed_packages(),
        "receipts.json": _json([asdict(access) for access in accesses]),
        "release.json": _json({
            "name": result.record.name, "id": _id(result),
            "kind": "set" if isinstance(result, RepeatSet) else "run",
            "runs": [f"runs/{run.directory.name}" for run in runs_of(result)],
            "checks": {check.name: str(check) for check in checks},
        }),
    }  # fmt: skip
    with TemporaryDirectory() as folder, atomic_path(archive) as temporary:
        files = {**texts, **dict(_stored(result)), **dict(_repeats(result))}
        for run in runs_of(result):
            if run.best.exists():  # else nothing was fitted
                file = Path(folder) / f"{run.directory.name}.safetensors"
                # Names may share memory in a checkpoint, which safetensors refuses.
                save_file({name: tensor.clone().contiguous() for name, tensor in tensors_of(run.best).items()}, file)
                files[f"runs/{run.directory.name}/{WEIGHTS}"] = file
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


def _tag_name(result: Result) -> str:
    """The tag to be made.

    Raises:
        ValueError: it is there already, on another commit, or git could not make it.
    """
    tag = f"hallmark/{result.record.name}/{_id(result)}"
    there, here = _git("rev-parse", "--verify", "--quiet", f"{tag}^{{commit}}"), _git("rev-parse", "HEAD")
    if there.returncode == 0 and there.stdout != here.stdout:
        raise ValueError(f"the tag {tag} is on another commit: delete it (git tag -d {tag}), or add --no-tag")
    if _git("check-ref-format", f"refs/tags/{tag}").returncode:
        raise ValueError(f"name={result.record.name}: git makes no tag {tag} of it; add --no-tag")
    if there.returncode and _git("var", "GIT_COMMITTER_IDENT").returncode:
        raise ValueError("git has no name to tag with: set git config user.name and user.email, or add --no-tag")
    return tag


def _tag(tag: str, archive: Path) -> None:
    if _git("rev-parse", "--verify", "--quiet", f"refs/tags/{tag}").returncode == 0:
        echo(f"tag {tag} exists already")
        return
    tagging = _git("tag", "--annotate", tag, "--message", f"Released as {archive.name}")
    if tagging.returncode:
        raise ValueError(f"{archive} is complete, but git made no tag {tag}: {tagging.stderr.strip()}")
    echo(f"tag {tag}; `git push origin {shlex.quote(tag)}` shares it")


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, timeout=30)


def _id(result: Result) -> str:
    record = result.record
    return record.set_id if isinstance(record, RepeatRecord) else record.run_id


def _label(result: Result) -> str:
    return f"{result.record.name.replace('/', '-')}-{_id(result)}"


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
