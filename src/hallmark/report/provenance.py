"""The provenance of a result: what was run, its data, its checks, its seal, its cost and how to make it again."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hallmark.data.leakage import predict_lines, reach_lines
from hallmark.report.content import Block, Commands, Facts, Paragraph, Section, Table, Tone
from hallmark.report.sources import ReportedResult
from hallmark.runs.metrics import MAIN
from hallmark.runs.record import lineage
from hallmark.statistics.text import number_text
from hallmark.storage.files import read_csv
from hallmark.storage.secrets import command_text, without_secrets
from hallmark.wording import NOTHING, duration, failures_by_kind, listed, moment, plural, readable

_CLASSES = 30  # columns of a table
_SHORT = 12  # characters of a hash that are shown
_LISTED = 10
_GPU = {"cuda": "CUDA", "capability": "CUDA capability"}

_VERDICTS = {
    "clean": "clean",
    "found": "found",
    "unknown": "unknown: it could not be checked, which is not the same as clean",
}

_CUT_OFF = "The test evaluation of this result was interrupted; run its command again to finish it."
_NO_ACCESS = "This result was not evaluated on the test split, so it has no test numbers here."


def what_was_run(result: ReportedResult) -> Section:
    record, records, git = result.record, result.records, result.record.git
    runs = [
        f"{member.run_id} ({note})" if note else member.run_id
        for (note, _), member in zip(result.members, records, strict=True)
    ]
    commit = "unknown: not in a git repository"
    if git.get("commit") is not None:
        commit = f"{git['commit'][:_SHORT]}{', with changes that were not committed' if git.get('dirty') else ''}"
    selections = [member.selected for member in records if member.selected is not None]
    selected = "nothing"
    if selections:
        values = [float(selection["value"]) for selection in selections]
        ends = sorted({number_text(value) for value in (min(values), max(values))})
        selected = f"{_distinct(str(selection['metric']) for selection in selections)} = {' to '.join(ends)}"
    pairs = [
        ("Experiment", record.name),
        ("Command", command_text(result.source.record.command)),
        ("Profile", str(result.config.get("profile", NOTHING))),
        ("Seed", _distinct(str(member.seed) for member in records)),
        ("Runs" if result.repeats else "Run", listed(runs)),
        ("Started", moment(record.started)),
        ("Took", duration(sum(member.wall_seconds for member in records))),
        ("Commit", commit),
        ("Selected on" if result.fitted else "Reaches", selected),
    ]
    if result.repeats:
        pairs.insert(1, ("Repeats", f"{result.repeats.record.repeat}, {result.repeats.record.state}"))
    above = [lineage(member.parents) for member in records]
    for role in dict.fromkeys(role for parents in above for role in parents):
        pairs.append((f"Parent {role}", _distinct(parents[role] for parents in above if role in parents)))
    if fitted := sorted({f"{name} {hash_[:_SHORT]}" for member in records for name, hash_ in member.fitted.items()}):
        pairs.append(("Fitted state", listed(fitted)))
    if resumed := sum(member.resumed for member in records):
        pairs.append(("Resumed", plural(resumed, "time")))
    return Section("What was run", [*(Paragraph(text, Tone.CAUTION) for text in warnings_of(result)), Facts(pairs)])


def warnings_of(result: ReportedResult) -> list[str]:
    """What everybody must know who uses the answers, each sentence once, as the records have it."""
    return [f"{text}." for text in dict.fromkeys(text for record in result.records for text in record.warnings)]


def data_and_splits(result: ReportedResult) -> Section:
    """Where the rows come from and how they are split; splits once where all members share them, else by member."""
    data = result.record.data
    pairs = [("Source", str(data.get("source", NOTHING)))]
    pairs += [(name.capitalize(), f"{data[name]:,}") for name in ("rows", "groups") if isinstance(data.get(name), int)]
    if data.get("extra"):
        pairs.append(("Extra training rows", _plain(data["extra"])))
    pairs.append(("Data fingerprint", _distinct(record.provenance.data[:_SHORT] for record in result.records)))
    shared = all(record.splits == result.record.splits for record in result.records)
    members = list(result.members)[:1] if shared else list(result.members)
    counts = [_class_counts(run.directory / "splits.csv") for _, run in members]
    classes = sorted({name for table in counts for name in table})
    rows = []
    for (note, run), by_class in zip(members, counts, strict=True):
        for split, entry in run.record.splits.items():
            labels = [NOTHING] * len(classes)
            if by_class and split != "predict":
                labels = [str(by_class.get(name, {}).get(split, 0)) for name in classes]
            row = [split, f"{entry['n']:,}", f"{entry['groups']:,}", *labels, str(entry["hash"])[:_SHORT]]
            rows.append(row if shared else [note, *row])
    columns = [*([] if shared else ["run"]), "split", "rows", "groups", *classes, "hash of the ids"]
    first = len(columns) - len(classes) - 3
    note = "The rows of predict have no label and are in no number." if "predict" in result.record.splits else ""
    table = Table(columns, rows, frozenset(range(first, len(columns) - 1)), note=note)
    return Section("Data and splits", [Facts(pairs), table])


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


def leak_verdict(result: ReportedResult) -> tuple[str, Tone]:
    """All leak checks of all members in a few words; what was not checked is never called clean."""
    checks = [record.leakage.get("checks") or {} for record in result.records]
    if any("found" in verdicts.values() for verdicts in checks):
        return "leaks found, and allowed", Tone.BAD
    if not all(checks):
        return "not checked", Tone.CAUTION
    unknown = sorted({kind for verdicts in checks for kind, verdict in verdicts.items() if verdict != "clean"})
    if unknown:
        return f"unknown for {listed(unknown)}, else clean", Tone.CAUTION
    return f"clean in {plural(len(checks[0]), 'check')}", Tone.GOOD


def checks(result: ReportedResult) -> Section:
    """What the leakage gate and the reading of the data found."""
    words, tone = leak_verdict(result)
    blocks: list[Block] = [Paragraph(f"Leaks between splits: {words}.", tone)]
    gates = [record.leakage for record in result.records]
    rows = []
    for kind in dict.fromkeys(kind for gate in gates for kind in gate.get("checks") or {}):
        verdicts = [(gate.get("checks") or {}).get(kind, "unknown") for gate in gates]
        worst = next(verdict for verdict in ("found", "unknown", "clean") if verdict in verdicts)
        let_through = worst == "found" and any(gate.get("action") == "report" for gate in gates)
        downgraded = ", downgraded to a report by data.leakage=report" if let_through else ""
        rows.append([kind, f"{_VERDICTS[worst]}{downgraded}"])
    if rows:
        blocks.append(Table(["what two splits could share", "verdict"], rows))
    lines = [*reach_lines(result.record.leakage), *predict_lines(result.record.leakage)]
    blocks += [Paragraph(f"{line[:1].upper()}{line[1:]}.") for line in lines]
    if n_findings := sum(gate.get("findings") or 0 for gate in gates):
        sentence = (
            f"The check found {plural(n_findings, 'pair')} of rows in different splits that share content. "
            "A finding stops a run; this one went on because it was told to (data.leakage=report). "
            "Its scores may be too good."
        )
        blocks += [Paragraph(sentence, Tone.BAD), *_first_rows(result, "leakage.csv")]
    problems = Counter[str]()
    for record in result.records:
        problems |= Counter(record.problems)
    if problems:
        counts = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in sorted(problems.items()))
        blocks += [Paragraph(f"Bad files or rows: {counts}.", Tone.CAUTION), *_first_rows(result, "problems.csv")]
    else:
        blocks.append(Paragraph("Bad files or rows: none was found.", Tone.GOOD))
    return Section("Checks of the data", blocks)


def _first_rows(result: ReportedResult, name: str) -> list[Block]:
    path = next((run.directory / name for _, run in result.members if (run.directory / name).exists()), None)
    if path is None:
        return []
    table = read_csv(path, dtype=str, keep_default_na=False)
    more = f"The first {_LISTED} of {len(table)}; all are in {name}." if len(table) > _LISTED else ""
    columns = [column.replace("_", " ") for column in table.columns]
    return [Table(columns, table.head(_LISTED).to_numpy().tolist(), note=more)]


def seal_words(result: ReportedResult) -> tuple[str, Tone]:
    """`sealed`, `opened once`, `opened 3 times`, or that it is unknown or that there is none."""
    accesses = result.accesses
    if not result.has_test:
        return "none", Tone.PLAIN
    if any(record.leakage.get("fitted_test") for record in result.records):
        return "not sealed: a parent was fitted on test rows", Tone.BAD
    if accesses is None:
        return "unknown", Tone.CAUTION
    if not accesses:
        return "sealed", Tone.GOOD
    return ("opened once", Tone.PLAIN) if len(accesses) == 1 else (f"opened {len(accesses)} times", Tone.CAUTION)


def seal(result: ReportedResult) -> Section:
    """How often the test split was opened, and what each access reached."""
    words, tone = seal_words(result)
    if not result.has_test:
        return Section("Test seal", [Paragraph("The data has no test split.")])
    if any(record.leakage.get("fitted_test") for record in result.records):
        text = "The test split is not sealed, because a parent was fitted on rows of it; the warnings above say which."
        if not result.accesses:
            return Section("Test seal", [Paragraph(text, tone)])
    if result.accesses is None:
        text = "Whether the test split was opened is unknown: the record does not name the content of its data."
        return Section("Test seal", [Paragraph(text, tone)])
    if not result.accesses:
        text = "The test split is sealed: it was never opened for this experiment, and this report does not open it."
        return Section("Test seal", [Paragraph(text, tone)])
    blocks: list[Block] = [Paragraph(f"The test split of this experiment's data was {words}.", tone)]
    if not result.opened:
        run_ids = {record.run_id for record in result.records}
        cut_off = any(run_ids <= {subject.run_id for subject in access.runs} for access in result.accesses)
        blocks.append(Paragraph(_CUT_OFF if cut_off else _NO_ACCESS, Tone.CAUTION))
    rows, metric = [], result.main["val"].metric if "val" in result.main else "macro_f1"
    for number, access in enumerate(result.accesses, 1):
        scores = []
        for task, metrics in access.metrics.items():
            if (score := metrics.get(metric)) is not None:
                scores.append(number_text(score) if task == MAIN else f"{task} {number_text(score)}")
        value = ", ".join(scores) or ("cut off" if access.completed is None else NOTHING)
        reason = access.reason or ("the first access" if number == 1 else "none given")
        runs = listed([subject.run_id for subject in access.runs])
        rows.append([str(number), moment(access.opened), runs, value, reason, without_secrets(access.command)])
    columns = ["access", "opened", "by", f"test {readable(metric)}", "reason", "command"]
    return Section("Test seal", [*blocks, Table(columns, rows, frozenset({3}))])


def cost(result: ReportedResult) -> Section:
    """Time, device and size, and the calls of outside services by phase, as the records have them."""
    records = result.records
    seconds = [record.wall_seconds for record in records]
    pairs = [("Wall time", duration(sum(seconds)))]
    if len(seconds) > 1:
        pairs.append(("A run took", f"{duration(min(seconds))} to {duration(max(seconds))}"))
    for name in ("device", "threads"):
        pairs.append((name.capitalize(), _distinct(str(record.device.get(name, NOTHING)) for record in records)))
    counts = result.record.parameters
    if counts.get("total"):
        pairs.append(("Parameters", f"{counts['total']:,}, of which {counts['trained']:,} trained"))
    sizes = [run.best.stat().st_size for _, run in result.members if run.best.exists()]
    if sizes:
        pairs.append(("Checkpoint", f"{max(sizes) / 1e6:.1f} MB"))
    blocks: list[Block] = [Facts(pairs)]
    rows, failed, total = [], 0, 0
    for (note, _), record in zip(result.members, records, strict=True):
        for phase, calls in record.calls.items():
            numbers = [f"{calls['requests']:,}", f"{calls['cached']:,}", failures_by_kind(calls)]
            rows.append([*([note] if result.repeats else []), phase, *numbers])
            failed += sum(calls["fallbacks"].values())
            total += calls["requests"]
    if rows:
        words = f"{failed:,} of {plural(total, 'call')} of the rewriter had no answer; there the query was kept."
        columns = [*(["run"] if result.repeats else []), "phase", "calls", "from disk", "without an answer"]
        table = Table(columns, rows, frozenset({len(columns) - 3, len(columns) - 2}))
        blocks += [Paragraph(words, Tone.CAUTION if failed else Tone.PLAIN), table]
    return Section("Cost", blocks)


def environment(result: ReportedResult) -> Section:
    device = result.record.device
    names = result.record.versions
    pairs = [(name, _distinct(record.versions.get(name, NOTHING) for record in result.records)) for name in names]
    pairs += [(title, _plain(device[name])) for name, title in _GPU.items() if name in device]
    return Section("Environment", [Facts(pairs)])


def reproduce(result: ReportedResult) -> Section:
    git = result.record.git
    blocks: list[Block] = []
    if git.get("dirty") or git.get("commit") is None:
        text = "The code was not exactly that of a commit, so a checkout alone does not bring it back."
        blocks.append(Paragraph(text, Tone.CAUTION))
    lines = [f"git checkout {git['commit']}"] if git.get("commit") else []
    lines += [command_text(result.source.record.command), f"hallmark report {result.directory}"]
    return Section("Reproduce", [*blocks, Commands(lines)])


def _distinct(texts: Iterable[str]) -> str:
    """The different ones of the members' texts, in order."""
    return listed(sorted(set(texts)))


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(part)}" for key, part in value.items())
    if isinstance(value, list):
        return ".".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
