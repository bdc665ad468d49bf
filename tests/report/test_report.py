"""What a report says equals what the predictions say, and both pages say the same."""

import html as markup
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt
from tests.report.conftest import CLASSES, predictions

from hallmark.commands.report import default_folder
from hallmark.console import main
from hallmark.report.content import Cases, Charts, Facts, Paragraph, Report, Section, Table
from hallmark.report.gather import gather
from hallmark.report.render import html, markdown, write
from hallmark.report.vector import svg_file
from hallmark.report.wording import change, estimate
from hallmark.runs.run import Run
from hallmark.statistics import all_intervals, paired_difference, table_metrics

HOSTILE = (
    "</p><script>alert(1)</script> <img src=https://evil.example/x.png onerror=alert(1)> `| [a](javascript:b) \x07"
)


def sections(report: Report) -> dict[str, Section]:
    """All sections by title, parts included."""
    found = {}
    for section in report.sections:
        found |= {section.title: section} | {f"{section.title}/{part.title}": part for part in section.parts}
    return found


def table(section: Section, place: int = 0) -> Table:
    return [block for block in section.blocks if isinstance(block, Table)][place]


def facts(section: Section) -> dict[str, str]:
    return {name: value for block in section.blocks if isinstance(block, Facts) for name, value in block.pairs}


def paragraphs(section: Section) -> str:
    return " ".join(block.text for block in section.blocks if isinstance(block, Paragraph))


def page(report: Report) -> str:
    charts = [c for s in sections(report).values() for b in s.blocks if isinstance(b, Charts) for c in b.charts]
    return html(report, {chart.name: svg_file(chart.figure, chart.name) for chart in charts})


class Reader(HTMLParser):
    """The texts that a page shows, its elements and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(" ".join(data.split()))


def plain(text: str) -> str:
    """Markdown's escapes undone, for tables and paragraphs."""
    return markup.unescape(re.sub(r"\\([\\`*_\[\]|~$#+=.)-])", r"\1", text))


def test_metrics_are_those_of_the_predictions(plain):
    frame = predictions()
    shown = {row[0]: row[1] for row in table(sections(plain)["Metrics on validation"]).rows}
    metrics = table_metrics(frame)["main"]
    intervals = all_intervals(frame, ["macro_f1", "log_loss"], level=0.95, repeats=1000, seed=0)
    assert shown["macro F1"] == estimate(intervals["macro_f1"])
    assert shown["macro F1"].startswith(f"{metrics['macro_f1']:.3f} [")
    assert shown["log loss (lower is better)"] == estimate(intervals["log_loss"])


def test_the_first_sentence_is_the_result_and_how_sure_it_is(plain):
    interval = all_intervals(predictions(), ["macro_f1"], level=0.95, repeats=1000, seed=0)["macro_f1"]
    assert plain.summary[0] == (
        f"clip_final reaches a validation macro F1 of {estimate(interval)} (95 % interval, 24 groups)."
    )
    assert plain.highlights[0].value == f"{interval.estimate:.3f}"


def test_the_confusion_matrix_counts_the_rows(plain):
    shown = table(sections(plain)["Metrics on validation"], 1)
    counts = pd.crosstab(predictions()["target"], predictions()["prediction"]).reindex(CLASSES, columns=CLASSES)
    assert [[int(cell.split()[0]) for cell in row[1:4]] for row in shown.rows] == counts.to_numpy().tolist()


def test_repeats_have_a_row_a_run_then_mean_and_std(make_set):
    repeats = make_set()
    shown = table(sections(gather([repeats.directory]))["Repeats"])
    values = [table_metrics(predictions(seed=seed))["main"]["macro_f1"] for seed in range(3)]
    assert [row[1] for row in shown.rows[:3]] == ["seed 0", "seed 1", "seed 2"]
    expected = [*values, pd.Series(values).mean(), pd.Series(values).std(ddof=1)]
    assert [row[2] for row in shown.rows] == [f"{value:.4f}" for value in expected]
    assert shown.footer == 2 and [row[0] for row in shown.rows[3:]] == ["mean", "std"]


def test_two_results_are_compared_on_the_same_rows(make_run):
    first, second = make_run("clip_final", quality=3.0), make_run("sentiment_text", "bbbb0000", seed=1, quality=0.3)
    report = gather([first.directory, second.directory])
    found = paired_difference(
        predictions(seed=1, quality=0.3), predictions(quality=3.0), "macro_f1", level=0.95, repeats=2000, seed=0
    )
    row = table(sections(report)["Comparison on validation"]).rows[0]
    assert row[0] == "clip_final − sentiment_text" and row[2] == change(found.difference)
    assert row[5] == "clip_final is better"
    assert report.summary[0].startswith("clip_final is better than sentiment_text on validation: macro F1 +")


def test_holm_adjusts_for_every_pair_and_metric(make_run):
    runs = [
        make_run(name, quality=quality, seed=i) for i, (name, quality) in enumerate([("a", 3), ("b", 2.5), ("c", 0.3)])
    ]
    section = sections(gather([run.directory for run in runs]))["Comparison on validation"]
    listed = table(section, 2)
    assert len(listed.rows) == 6
    assert all(float(row[4]) >= float(row[3]) for row in listed.rows)
    matrix = table(section)
    assert matrix.columns[1:] == ["a", "b", "c"] and matrix.rows[0][1] == "–"
    assert float(matrix.rows[0][3].strip("*")) == -float(matrix.rows[2][1].strip("*")) > 0


def test_sets_are_compared_over_their_repetitions(make_set):
    first, second = make_set("clip_final", quality=3.0), make_set("sentiment_text", quality=0.3, first=5)
    report = gather([first.directory, second.directory])
    shown = table(sections(report)["Comparison on validation"])
    assert "in 24 groups and 3 repetitions" in shown.note
    assert shown.rows[0][5] == "clip_final is better"
    assert "over 3 runs (seeds:3)" in report.summary[1]


def test_results_on_other_rows_are_said_to_be_incomparable(make_run):
    other = predictions()
    other["id"] = "x" + other["id"]
    runs = [make_run("a"), make_run("b", table=other)]
    report = gather([run.directory for run in runs])
    assert "a and b cannot be compared: the tables must have the same labelled ids" in report.summary[0]


@pytest.mark.parametrize(
    ("action", "checks", "verdict", "sentence"),
    [
        ("stop", {"id": "clean"}, "clean", "clean in 1 check."),
        ("stop", {"group": "unknown"}, "unknown: it could not be checked", "unknown for group"),
        ("report", {"id": "found"}, "found, downgraded to a report", "leaks found, and let through"),
    ],
)
def test_leak_checks_are_told_in_plain_words(make_run, action, checks, verdict, sentence):
    leakage = {"action": action, "findings": int(action == "report"), "checks": checks}
    report = gather([make_run(leakage=leakage).directory])
    section = sections(report)["Checks of the data"]
    assert table(section).rows[0][1].startswith(verdict)
    assert sentence in paragraphs(section)
    tone = next(one.tone for one in report.highlights if one.name == "Leak checks")
    assert (tone == "good") is (verdict == "clean")


def test_a_run_without_checks_is_not_called_clean(make_run):
    report = gather([make_run(leakage={}).directory])
    assert "Leaks between splits: not checked." in paragraphs(sections(report)["Checks of the data"])
    assert not any("clean" in one.value for one in report.highlights)


def test_found_leaks_and_bad_rows_are_listed(make_run):
    leakage = {"action": "report", "findings": 1, "checks": {"id": "found"}}
    run = make_run(leakage=leakage, problems={"missing_image": 2})
    (run.directory / "leakage.csv").write_text("kind,first_id\nid,train-1\n")
    (run.directory / "problems.csv").write_text("id,kind,policy,detail\n7,missing_image,skip,7.jpg is not there\n")
    section = sections(gather([run.directory]))["Checks of the data"]
    assert "Bad files or rows: 2 missing image." in paragraphs(section)
    assert ["id", "train-1"] in [list(row) for row in table(section, 1).rows]
    assert ["7", "missing_image", "skip", "7.jpg is not there"] in [list(row) for row in table(section, 2).rows]


def test_splits_are_counted_by_class(plain):
    shown = table(sections(plain)["Data and splits"])
    rows = {row[0]: row[1:] for row in shown.rows}
    assert shown.columns == ["split", "rows", "groups", *CLASSES, "hash of the ids"]
    assert rows["test"] == ["30", "30", "10", "10", "10", "3" * 12]
    assert rows["predict"][2:5] == ["–", "–", "–"]


def test_a_sealed_test_split_is_said_to_be_sealed_and_its_numbers_stay_hidden(make_run):
    run = make_run(measured=("val", "test"))  # as if somebody had put the table there
    report = gather([run.directory])
    assert "sealed: nobody has looked" in paragraphs(sections(report)["Test seal"])
    assert "Metrics on test" not in sections(report)


def test_an_opened_seal_shows_every_look_with_its_reason(make_run, look_at):
    run = make_run(measured=("val", "test"))
    look_at(run)
    look_at(run, reason="a reviewer asked <b>why</b>")
    report = gather([run.directory])
    shown = sections(report)
    assert "opened 2 times" in paragraphs(shown["Test seal"])
    looks = table(shown["Test seal"])
    assert [row[3] for row in looks.rows] == ["0.500", "0.500"]
    assert [row[4] for row in looks.rows] == ["the first look", "a reviewer asked <b>why</b>"]
    assert "Metrics on test" in shown
    assert any(sentence.startswith("On the test split it is ") for sentence in report.summary)
    assert "<b>why" not in page(report)


@pytest.mark.parametrize(("opened", "split"), [(2, "test"), (1, "validation")])
def test_the_first_sentence_is_of_the_test_split_once_all_have_looked_at_it(make_run, look_at, opened, split):
    first = make_run("clip_final", quality=3.0, measured=("val", "test"))
    second = make_run("sentiment_text", "bbbb0000", seed=1, quality=0.3, measured=("val", "test"))
    for run in (first, second)[:opened]:
        look_at(run)
    report = gather([first.directory, second.directory])
    assert report.summary[0].startswith(f"clip_final is better than sentiment_text on {split}: macro F1 +")


def test_the_look_of_another_run_is_shown_but_gives_no_test_numbers(make_run, look_at):
    mine, other = make_run(measured=("val", "test")), make_run(run_id="bbbb0000", seed=1)
    look_at(other)
    shown = sections(gather([mine.directory]))
    assert "was opened once" in paragraphs(shown["Test seal"])
    assert "No look was at this result" in paragraphs(shown["Test seal"])
    assert "Metrics on test" not in shown


def test_an_unknown_content_is_not_called_sealed(make_run):
    report = gather([make_run(data={"source": "sample"}).directory])
    assert "unknown" in paragraphs(sections(report)["Test seal"])
    assert [one.value for one in report.highlights if one.name == "Test split"] == ["unknown"]


def test_data_without_a_test_split_has_none_to_seal(make_run):
    report = gather([make_run(splits={"train": {"n": 90, "groups": 80, "hash": "1"}}).directory])
    assert paragraphs(sections(report)["Test seal"]) == "The data has no test split."


def test_an_empty_slice_says_so(plain):
    shown = table(sections(plain)["Slices of validation"])
    rows = {row[1]: row[2:] for row in shown.rows}
    assert rows["2+ emoji"] == ["0", "no rows (n = 0)", "no rows (n = 0)"]
    assert rows["no emoji"][0] == "32"


def test_the_worst_cases_come_first_with_text_and_a_small_picture(make_run, picture):
    frame = predictions(path=picture)
    report = gather([make_run(table=frame).directory])
    (cases,) = sections(report)["Bad cases"].blocks
    assert isinstance(cases, Cases)
    wrong = frame[frame["prediction"] != frame["target"]].sort_values("confidence", ascending=False)
    assert [case.id for case in cases.cases[: len(wrong)]] == wrong["id"].head(12).tolist()
    assert cases.cases[0].text == wrong["info_text"].iloc[0]
    shown = cases.cases[0].picture
    assert shown is not None and len(shown) < 40_000 and b"secret place" not in shown


def test_a_missing_picture_is_left_out(make_run):
    (cases,) = sections(gather([make_run(table=predictions(path="/nowhere.jpg")).directory]))["Bad cases"].blocks
    assert cases.cases and all(case.picture is None for case in cases.cases)


def test_a_bad_case_of_a_set_appears_once(make_set):
    (cases,) = sections(gather([make_set().directory]))["Bad cases"].blocks
    ids = [case.id for case in cases.cases]
    assert len(set(ids)) == len(ids) and "@" not in "".join(ids)
    assert re.fullmatch(r"wrong in [123] of 3 runs", cases.cases[0].note)


def test_what_was_run_and_how_to_make_it_again(make_run):
    shown = sections(gather([make_run(git={"commit": "c0ffee", "dirty": True}).directory]))
    known = facts(shown["What was run"])
    assert known["Command"] == "python train.py experiment=clip_final seed=0"
    assert known["Profile"] == "sample" and known["Started"] == "2026-01-01 00:00 UTC" and known["Took"] == "12 s"
    assert known["Commit"] == "c0ffee, with changes that were not committed"
    assert "not exactly that of a commit" in paragraphs(shown["Make it again"])
    assert facts(shown["Environment"]) == {"torch": "2.9", "numpy": "2.3"}
    assert facts(shown["Cost"])["Device"] == "cpu"


def test_a_sweep_shows_its_trials_best_first_and_its_best_run(make_sweep):
    sweep = make_sweep()
    report = gather([sweep])
    shown = sections(report)
    trials = table(shown["Sweep grid-12345678"])
    values = [float(row[2]) for row in trials.rows]
    assert values == sorted(values, reverse=True) and trials.columns[-2:] == ["lr", "dropout"]
    assert "the best of many" in report.summary[0]
    assert "clip_probe/Metrics on validation" in shown


def test_a_sweep_that_has_not_ended_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ValueError, match=r"no trials\.csv yet"):
        gather([tmp_path])


def test_both_pages_hold_the_same_facts(make_set, make_run, look_at, tmp_path):
    repeats, run = (
        make_set(rich=True),
        make_run("sentiment_text", "bbbb0000", seed=7, quality=0.5, problems={"cmyk_image": 1}),
    )
    look_at(run)
    report = gather([repeats.directory, run.directory])
    write(report, tmp_path)
    text = plain((tmp_path / "report.md").read_text())
    shown = Reader((tmp_path / "report.html").read_text())
    on_page = " ".join(shown.texts)
    for section in sections(report).values():
        for block in section.blocks:
            for cell in _texts(block):
                assert cell in text and cell in on_page, cell
    for sentence in report.summary:
        assert sentence in text and sentence in on_page


def _texts(block) -> list[str]:
    match block:
        case Paragraph():
            return [block.text]
        case Facts():
            return [text for pair in block.pairs for text in pair]
        case Table():
            return [*block.columns, *(cell for row in block.rows for cell in row), *filter(None, [block.note])]
        case Cases():
            return [block.note, *(text for case in block.cases for text in (case.id, case.text, case.note))]
    return []


def test_nothing_hostile_becomes_markup(make_run, picture, tmp_path):
    frame = predictions(texts=[HOSTILE] * 48, path=picture)
    frame["id"] = [f"<i>{name}</i>" for name in frame["id"]]
    run = make_run(table=frame, command=["python", "train.py", "note=</dd><script>x</script>"])
    write(gather([run.directory]), tmp_path)
    text = (tmp_path / "report.html").read_text()
    shown = Reader(text)
    tags = {tag for tag, _ in shown.elements}
    assert not tags & {"script", "i", "iframe", "object", "link"}
    assert not any(name.startswith("on") for _, attributes in shown.elements for name in attributes)
    assert all(a["src"].startswith("data:image/jpeg;base64,") for tag, a in shown.elements if tag == "img")
    assert any("<script>alert(1)</script>" in one for one in shown.texts)  # shown, as text
    source = (tmp_path / "report.md").read_text()
    outside = re.sub(r"(?m)(`+) .*? \1(?!`)|^    .*$", "", source)  # less code spans and blocks, which show as they are
    assert "<script" not in outside and "<i>" not in outside and "\x07" not in source + text


@pytest.mark.parametrize(
    "text",
    [
        "[a](javascript:b)",
        "![a](b)",
        "[a][b]",
        "[a]: b",
        "# a",
        "- a",
        "1. a",
        "a | b",
        "*a* _b_ ~~c~~",
        "`a`",
        "\\*a*",
    ],
)
def test_markdown_shows_a_text_as_it_is(text):
    report = Report("r", [text], sections=[Section("s", [Paragraph(text), Table(["c"], [[text]])])])
    source = markdown(report)
    parsed = MarkdownIt("gfm-like", {"linkify": False}).parse(source)
    inside = [token for token in parsed if token.type == "inline"]
    children = [child.type for token in inside for child in token.children or ()]
    assert set(children) <= {"text", "text_special"}, source
    assert [token.type for token in parsed if token.type == "paragraph_open"] == ["paragraph_open"] * 2
    assert [_read(token) for token in inside] == ["r", text, "s", text, "c", text]


def _read(token) -> str:
    return "".join(child.content for child in token.children)


def test_the_page_refers_to_nothing_outside(make_set, make_run, tmp_path):
    write(gather([make_set(rich=True).directory, make_run("b", "b").directory]), tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "http://" not in text and "https://" not in text and "url(" not in text.replace("url(#", "")
    addresses = [
        value for _, attributes in Reader(text).elements for key, value in attributes.items() if key in ("href", "src")
    ]
    assert addresses and all(value.startswith(("#", "data:image/")) for value in addresses)


def test_ids_are_unique_and_links_lead_somewhere(make_set, make_run):
    report = gather([make_set(rich=True).directory, make_run("b", "b").directory])
    elements = Reader(page(report)).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    targets = [a["href"][1:] for _, a in elements if (a.get("href") or "").startswith("#")]
    assert targets and set(targets) <= set(ids)


def test_markdown_refers_to_figures_that_are_there(make_run, picture, tmp_path):
    write(gather([make_run(table=predictions(path=picture), rich=True).directory]), tmp_path)
    files = re.findall(r"\]\((figures/[^)]+)\)", (tmp_path / "report.md").read_text())
    assert {Path(file).suffix for file in files} == {".svg", ".jpg"}
    assert all((tmp_path / file).stat().st_size > 500 for file in files)


def test_no_secret_reaches_a_page(make_run, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_API_KEY", "sentinel-value-1234")
    command = [
        "python",
        "train.py",
        "x=sentinel-value-1234",
        "logger.api_key=abc987",
        "storage=pg://me:hunter2@host/db",
    ]
    run = make_run(command=command, table=predictions(texts=["says sentinel-value-1234"] * 48))
    write(gather([run.directory]), tmp_path)
    for file in ("report.html", "report.md"):
        text = (tmp_path / file).read_text()
        assert not any(secret in text for secret in ("sentinel-value-1234", "abc987", "hunter2"))
        assert "logger.api" in text


def test_equal_runs_give_equal_pages(make_run):
    run = make_run(rich=True)
    first, second = (gather([run.directory]) for _ in range(2))
    assert page(first) == page(second) and markdown(first) == markdown(second)


def test_the_command_writes_beside_the_result_or_where_it_is_told(make_run, tmp_path, capsys):
    run = make_run()
    assert main(["report", str(run.directory)]) == 0
    assert (run.directory / "report" / "report.html").exists()
    assert "clip_final reaches" in capsys.readouterr().out
    assert main(["report", str(run.directory), "--output", str(tmp_path / "there")]) == 0
    assert (tmp_path / "there" / "report.md").exists()


def test_an_experiment_with_one_run_is_that_run(make_run):
    run = make_run()
    assert gather([run.directory.parent]).summary == gather([run.directory]).summary


def test_several_results_are_reported_in_the_folder_that_holds_them(tmp_path):
    assert default_folder([tmp_path / "a" / "1", tmp_path / "b" / "2"]) == tmp_path / "report"


def test_an_unfinished_run_is_refused_with_what_to_do(make_run, capsys):
    run = make_run(state="interrupted")
    assert main(["report", str(run.directory)]) == 2
    assert "repeat its command to finish it" in capsys.readouterr().err


def test_nothing_of_the_data_is_read(make_run, monkeypatch):
    """Only what the run stored: no predictions of the test split without a receipt, however they are asked for."""
    run = make_run(measured=("val", "test"))
    (run.directory / "predictions" / "test.parquet").write_bytes(b"whoever reads this fails")
    assert gather([run.directory]).summary
    assert json.loads((run.directory / "metrics.json").read_text())["test"]
    assert isinstance(run, Run)
