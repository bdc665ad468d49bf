"""What a result stands on: what was run, its data, its checks, its seal, its cost and how to make it again."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hallmark.analysis.figures import readable
from hallmark.data.leakage import predict_lines, reach_lines
from hallmark.report.content import Block, Commands, Facts, Paragraph, Section, Table, Tone
from hallmark.report.sources import Result
from hallmark.report.wording import command_text, duration, kinds_of, listed, moment, plural, without_secrets
from hallmark.runs.metrics import MAIN
from hallmark.runs.repeats import record_of
from hallmark.runs.seal import Look
from hallmark.statistics.text import NOTHING, number_text
from hallmark.storage.files import read_csv

_CLASSES = 30  # columns of a table
_SHORT = 12  # characters of a hash that are shown
_LISTED = 10
_GPU = {"cuda": "CUDA", "capability": "CUDA capability"}

_VERDICTS = {
    "clean": "clean",
    "found": "found",
    "unknown": "unknown: it could not be checked, which is not the same as clean",
}

_CUT_OFF = "The look at this result was cut off before it gave numbers; the command of the look finishes it."
_NO_LOOK = "No look was at this result, so it has no test numbers here."


def what_was_run(result: Result) -> Section:
    record = result.record
    members = [(note, one) for (note, _), one in zip(result.members, result.records, strict=True)]
    pairs = [
        ("Experiment", record.name),
        ("Command", command_text(record_of(result.source).command)),
        ("Profile", str(result.config.get("profile", NOTHING))),
        ("Seed", listed(sorted({str(one.seed) for one in result.records}))),
        (
            "Runs" if result.repeats else "Run",
            listed([f"{one.run_id} ({note})" if note else one.run_id for note, one in members]),
        ),
        ("Started", moment(record.started)),
        ("Took", duration(sum(one.wall_seconds for one in result.records))),
        ("Commit", _commit(record.git)),
        ("Selected on" if result.fitted else "Reaches", _selected([one.selected for one in result.records])),
    ]
    if result.repeats:
        pairs.insert(1, ("Repeats", f"{result.repeats.record.repeat}, {result.repeats.record.state}"))
    if record.parents:
        pairs.append(("Started from", listed([str(parent) for parent in record.parents])))
    if resumed := sum(one.resumed for one in result.records):
        pairs.append(("Resumed", plural(resumed, "time")))
    return Section("What was run", [*(Paragraph(text, Tone.CAUTION) for text in warnings_of(result)), Facts(pairs)])


def warnings_of(result: Result) -> list[str]:
    """What everybody must know who uses the answers, each sentence once, as the records have it."""
    return [f"{text}." for text in dict.fromkeys(text for record in result.records for text in record.warnings)]


def _selected(selected: Sequence[dict[str, Any] | None]) -> str:
    values = [float(one["value"]) for one in selected if one is not None]
    metrics = listed(sorted({str(one["metric"]) for one in selected if one is not None}))
    if not values:
        return "nothing"
    ends = sorted({number_text(value) for value in (min(values), max(values))})
    return f"{metrics} = {' to '.join(ends)}"


def _commit(git: dict[str, Any]) -> str:
    if git.get("commit") is None:
        return "unknown: not in a git repository"
    return f"{git['commit'][:_SHORT]}{', with changes that were not committed' if git.get('dirty') else ''}"


def data_and_splits(result: Result) -> Section:
    data = result.record.data
    pairs = [("Source", str(data.get("source", NOTHING)))]
    pairs += [(name.capitalize(), f"{data[name]:,}") for name in ("rows", "groups") if isinstance(data.get(name), int)]
    if data.get("extra"):
        pairs.append(("Extra training rows", _plain(data["extra"])))
    pairs.append(("Data fingerprint", listed(sorted({one.provenance.data[:_SHORT] for one in result.records}))))
    return Section("Data and splits", [Facts(pairs), *_split_tables(result)])


def _split_tables(result: Result) -> list[Block]:
    """One table where all members share their splits, else one that also names the member."""
    same = all(one.splits == result.record.splits for one in result.records)
    members = list(result.members)[:1] if same else list(result.members)
    counts = [_class_counts(run.directory / "splits.csv") for _, run in members]
    classes = sorted({name for table in counts for name in table}) if counts else []
    rows = []
    for (note, run), by_class in zip(members, counts, strict=True):
        assert run.record is not None
        for split, facts in run.record.splits.items():
            shown = [str(by_class.get(name, {}).get(split, 0)) if by_class else NOTHING for name in classes]
            labelled = shown if split != "predict" else [NOTHING] * len(classes)
            row = [split, f"{facts['n']:,}", f"{facts['groups']:,}", *labelled, str(facts["hash"])[:_SHORT]]
            rows.append(row if same else [note, *row])
    columns = [*([] if same else ["run"]), "split", "rows", "groups", *classes, "hash of the ids"]
    first = len(columns) - len(classes) - 3
    note = "The rows of predict have no label and are in no number." if "predict" in result.record.splits else ""
    return [Table(columns, rows, frozenset(range(first, len(columns) - 1)), note=note)]


def _class_counts(path: Path) -> dict[str, dict[str, int]]:
    """{class: {split: rows}} of a `splits.csv`; {} where there is none, or what it holds are no classes to list."""
    if not path.exists():
        return {}
    table = read_csv(path, dtype=str, keep_default_na=False)
    table = table[table["target"] != ""]
    if table["target"].nunique() > _CLASSES:
        return {}
    counts = Counter(zip(table["target"], table["split"], strict=True))
    return {name: {s: n for (target, s), n in counts.items() if target == name} for name in table["target"].unique()}


def leak_verdict(result: Result) -> tuple[str, Tone]:
    """All leak checks of all members in a few words; what was not checked is never called clean."""
    checks = [one.leakage.get("checks") or {} for one in result.records]
    verdicts = [verdict for one in checks for verdict in one.values()]
    if "found" in verdicts:
        return "leaks found, and let through", Tone.BAD
    if not all(checks):
        return "not checked", Tone.CAUTION
    unknown = sorted({name for one in checks for name, verdict in one.items() if verdict != "clean"})
    if unknown:
        return f"unknown for {listed(unknown)}, else clean", Tone.CAUTION
    return f"clean in {plural(len(checks[0]), 'check')}", Tone.GOOD


def checks(result: Result) -> Section:
    return Section("Checks of the data", [*_leaks(result), *_problems(result)])


def _leaks(result: Result) -> list[Block]:
    words, tone = leak_verdict(result)
    blocks: list[Block] = [Paragraph(f"Leaks between splits: {words}.", tone)]
    kinds = list(dict.fromkeys(kind for one in result.records for kind in one.leakage.get("checks") or {}))
    rows = [[kind, _verdict_words(result, kind)] for kind in kinds]
    if rows:
        blocks.append(Table(["what two splits could share", "verdict"], rows))
    entry = result.record.leakage
    blocks += [Paragraph(f"{line[:1].upper()}{line[1:]}.") for line in [*reach_lines(entry), *predict_lines(entry)]]
    if any(one.leakage.get("findings") for one in result.records):
        count = sum(one.leakage.get("findings") or 0 for one in result.records)
        sentence = (
            f"The check found {plural(count, 'pair')} of rows in different splits that share content. "
            "A finding stops a run; this one went on because it was told to (data.leakage=report). "
            "Its scores may be too good."
        )
        blocks += [Paragraph(sentence, Tone.BAD), *_first_rows(result, "leakage.csv")]
    return blocks


def _verdict_words(result: Result, kind: str) -> str:
    found = [(one.leakage.get("checks") or {}).get(kind, "unknown") for one in result.records]
    worst = next(verdict for verdict in ("found", "unknown", "clean") if verdict in found)
    downgraded = worst == "found" and any(one.leakage.get("action") == "report" for one in result.records)
    return f"{_VERDICTS[worst]}, downgraded to a report by data.leakage=report" if downgraded else _VERDICTS[worst]


def _problems(result: Result) -> list[Block]:
    counts = Counter[str]()
    for one in result.records:
        counts |= Counter(one.problems)
    if not counts:
        return [Paragraph("Bad files or rows: none was found.", Tone.GOOD)]
    found = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in sorted(counts.items()))
    return [Paragraph(f"Bad files or rows: {found}.", Tone.CAUTION), *_first_rows(result, "problems.csv")]


def _first_rows(result: Result, name: str) -> list[Block]:
    path = next((run.directory / name for _, run in result.members if (run.directory / name).exists()), None)
    if path is None:
        return []
    table = read_csv(path, dtype=str, keep_default_na=False)
    more = f"The first {_LISTED} of {len(table)}; all are in {name}." if len(table) > _LISTED else ""
    columns = [column.replace("_", " ") for column in table.columns]
    return [Table(columns, table.head(_LISTED).to_numpy().tolist(), note=more)]


def seal_words(result: Result) -> tuple[str, Tone]:
    """`sealed`, `opened once`, `opened 3 times`, or that it is unknown or that there is none."""
    looks = result.looks
    if not result.has_test:
        return "none", Tone.PLAIN
    if looks is None:
        return "unknown", Tone.CAUTION
    if not looks:
        return "sealed", Tone.GOOD
    return ("opened once", Tone.PLAIN) if len(looks) == 1 else (f"opened {len(looks)} times", Tone.CAUTION)


def seal(result: Result) -> Section:
    words, tone = seal_words(result)
    if not result.has_test:
        return Section("Test seal", [Paragraph("The data has no test split.")])
    if result.looks is None:
        text = "Whether the test split was looked at is unknown: the record does not name the content of its data."
        return Section("Test seal", [Paragraph(text, tone)])
    if not result.looks:
        text = "The test split is sealed: nobody has looked at it with this experiment, and this report does not."
        return Section("Test seal", [Paragraph(text, tone)])
    blocks: list[Block] = [Paragraph(f"The test split of this experiment's data was {words}.", tone)]
    if not result.opened:
        blocks.append(Paragraph(_CUT_OFF if _begun(result) else _NO_LOOK, Tone.CAUTION))
    rows = [_look_row(number, look, result.main_metric) for number, look in enumerate(result.looks, 1)]
    metric = readable(result.main_metric)
    columns = ["look", "opened", "by", f"test {metric}", "reason", "command"]
    return Section("Test seal", [*blocks, Table(columns, rows, frozenset({3}))])


def _begun(result: Result) -> bool:
    own = {one.run_id for one in result.records}
    return any(own <= {subject.run_id for subject in look.runs} for look in result.looks or [])


def _look_row(position: int, look: Look, metric: str) -> list[str]:
    found = {task: metrics[metric] for task, metrics in look.metrics.items() if metrics.get(metric) is not None}
    scores = [number_text(value) if task == MAIN else f"{task} {number_text(value)}" for task, value in found.items()]
    runs = listed([subject.run_id for subject in look.runs])
    value = ", ".join(scores) or ("cut off" if look.completed is None else NOTHING)
    reason = look.reason or ("the first look" if position == 1 else "none given")
    return [str(position), moment(look.opened), runs, value, reason, without_secrets(look.command)]


def cost(result: Result) -> Section:
    records = result.records
    seconds = [one.wall_seconds for one in records]
    pairs = [("Wall time", duration(sum(seconds)))]
    if len(seconds) > 1:
        pairs.append(("A run took", f"{duration(min(seconds))} to {duration(max(seconds))}"))
    pairs.append(("Device", listed(sorted({str(one.device.get("device", NOTHING)) for one in records}))))
    pairs.append(("Threads", listed(sorted({str(one.device.get("threads", NOTHING)) for one in records}))))
    counts = result.record.parameters
    if counts.get("total"):
        pairs.append(("Parameters", f"{counts['total']:,}, of which {counts['trained']:,} trained"))
    sizes = [run.best.stat().st_size for _, run in result.members if run.best.exists()]
    if sizes:
        pairs.append(("Checkpoint", f"{max(sizes) / 1e6:.1f} MB"))
    return Section("Cost", [Facts(pairs), *_calls(result)])


def _calls(result: Result) -> list[Block]:
    """Calls of outside services by phase, as the records have them."""
    rows = [
        [*([note] if result.repeats else []), phase, f"{calls['requests']:,}", f"{calls['cached']:,}", kinds_of(calls)]
        for (note, _), record in zip(result.members, result.records, strict=True)
        for phase, calls in record.calls.items()
    ]
    if not rows:
        return []
    columns = [*(["run"] if result.repeats else []), "phase", "calls", "from disk", "without an answer"]
    phases = [calls for record in result.records for calls in record.calls.values()]
    failed = sum(sum(calls["fallbacks"].values()) for calls in phases)
    total = sum(calls["requests"] for calls in phases)
    words = f"{failed:,} of {plural(total, 'call')} of the rewriter had no answer; there the query was kept."
    tone = Tone.CAUTION if failed else Tone.PLAIN
    first = len(columns) - 3
    return [Paragraph(words, tone), Table(columns, rows, frozenset({first, first + 1}))]


def environment(result: Result) -> Section:
    device = result.record.device
    versions = {name: {one.versions.get(name, NOTHING) for one in result.records} for name in result.record.versions}
    pairs = [(name, listed(sorted(found))) for name, found in versions.items()]
    pairs += [(title, _plain(device[name])) for name, title in _GPU.items() if name in device]
    return Section("Environment", [Facts(pairs)])


def reproduce(result: Result) -> Section:
    git = result.record.git
    blocks: list[Block] = []
    if git.get("dirty") or git.get("commit") is None:
        text = "The code was not exactly that of a commit, so a checkout alone does not bring it back."
        blocks.append(Paragraph(text, Tone.CAUTION))
    lines = [f"git checkout {git['commit']}"] if git.get("commit") else []
    lines += [command_text(record_of(result.source).command), f"hallmark report {result.directory}"]
    return Section("Make it again", [*blocks, Commands(lines)])


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ".".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
