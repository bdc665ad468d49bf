import json
import math
from pathlib import Path

import pytest
from benchmarks.pages import ROOT, Pages
from benchmarks.results import difference_cell, number_cell, value_cell, write_result

from hallmark.statistics import Interval, PairedDifference
from hallmark.statistics.text import difference_text, interval_text

PAGE = """# Title

On the sample <!-- value: sample.models[b].accuracy -->stale<!-- end --> is reached in
<!-- value: sample.seconds -->stale<!-- end -->.

<!-- result: sample.models -->
<!-- end of result -->

<!-- result: sample.about -->
<!-- end of result -->
"""


@pytest.fixture
def pages(tmp_path):
    """A project whose one page shows everything of one result, and nothing else."""
    (tmp_path / "docs" / "results").mkdir(parents=True)
    (tmp_path / "README.md").write_text(PAGE)
    stored(tmp_path, accuracy=0.7)
    project = Pages(tmp_path)
    (tmp_path / "README.md").write_text(project.filled(tmp_path / "README.md"))
    return project


def stored(root: Path, accuracy: float) -> None:
    rows = [
        {"model": "a", "accuracy": value_cell(Interval(0.5, 0.4, 0.6, 0.95))},
        {"model": "b", "accuracy": value_cell(Interval(accuracy, 0.65, 0.81234, 0.95))},
    ]
    write_result(
        "sample",
        rows="Validation rows, which selected the epoch.",
        intervals="Groups are resampled.",
        tables={"models": rows},
        values={"seconds": number_cell(1.25, 2, " s")},
        folder=root / "docs" / "results",
    )


def test_a_page_shows_what_is_stored(pages):
    text = (pages.root / "README.md").read_text()
    assert "sample.models[b].accuracy -->0.700 [0.650, 0.812]<!-- end -->" in text
    assert "-->1.25 s<!-- end -->" in text
    assert "\n| model | accuracy |\n| --- | --- |\n| a | 0.500 [0.400, 0.600] |\n| b | 0.700 [0.650, 0.812] |\n" in text
    assert "Validation rows, which selected the epoch. Groups are resampled." in text
    assert list(pages.problems()) == []


def test_a_changed_result_is_found_and_written_through(pages):
    stored(pages.root, accuracy=0.75)
    assert [problem.split(":")[:2] for problem in pages.problems()] == [["README.md", "3"]]
    text = pages.filled(pages.root / "README.md")
    assert "0.700" not in text and text.count("0.750 [0.650, 0.812]") == 2


@pytest.mark.parametrize(("line", "stands", "edited"), [(4, "1.25 s", "1.05 s"), (11, "0.812", "0.912")])
def test_an_edited_number_is_found_in_its_line(pages, line, stands, edited):
    page = pages.root / "README.md"
    page.write_text(
        page.read_text().replace(
            f"{stands}<" if line == 4 else f"{stands}] |", f"{edited}<" if line == 4 else f"{edited}] |"
        )
    )
    assert [problem.split(":")[:2] for problem in pages.problems()] == [["README.md", str(line)]]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("absent.models", r"line 1: docs/results/absent.json: cannot be read"),
        ("sample.absent", r"no such table: models"),
    ],
)
def test_a_table_of_no_result_is_an_error(pages, reference, message):
    page = pages.root / "docs" / "other.md"
    page.write_text(f"<!-- result: {reference} -->\n<!-- end of result -->\n")
    with pytest.raises(ValueError, match=message):
        pages.filled(page)


@pytest.mark.parametrize("reference", ["sample.models[c].accuracy", "sample.models[a].f1", "sample.minutes", "sample"])
def test_a_value_of_no_result_is_an_error(pages, reference):
    page = pages.root / "docs" / "other.md"
    page.write_text(f"\n<!-- value: {reference} -->0.5<!-- end -->\n")
    assert [problem.partition(": ")[0] for problem in pages.problems()] == ["docs/other.md:2"]


def test_a_table_without_its_rows_and_command_is_an_error(pages):
    page = pages.root / "docs" / "other.md"
    page.write_text("<!-- result: sample.models -->\n<!-- end of result -->\n")
    with pytest.raises(ValueError, match=r"needs <!-- result: sample.about -->"):
        pages.filled(page)


def test_a_result_that_no_benchmark_wrote_is_an_error(pages):
    path = pages.root / "docs" / "results" / "sample.json"
    path.write_text(json.dumps({"tables": {}, "values": {}}))
    assert "it lacks command, commit, device, date" in "".join(pages.problems())


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("It has 0.71 of them", ["0.71"]),
        ("1.5 %, 1.01×, 239× and 1,234.5 s", ["1.5 %", "1.01×", "239×", "1,234.5"]),
        ("± 2 of it; .875; 2.2e-16", ["± 2", ".875", "2.2e-16"]),
        ("`lr=0.1` in a line", ["0.1"]),
        ("| a | 0.5 |", ["0.5"]),
        ("40 rows at 640×480, version 2.6.6, 95 %, 3,213 of 1,235, folds:5x3, name_1.txt", []),
        ("```\n0.5\n```\n~~~text\n0.5\n~~~", []),
        ("[a paper](https://arxiv.org/abs/2201.04122), <https://doi.org/10.1>, <!-- 0.5 -->", []),
    ],
)
def test_numbers_that_stand_on_nothing_are_found(pages, text, numbers):
    page = pages.root / "docs" / "deeper" / "other.md"
    page.parent.mkdir()
    page.write_text(f"# Title\n\n{text}\n")
    unexplained = [problem.split(": ")[1].partition(" is no stored")[0] for problem in pages.problems()]
    assert unexplained == numbers
    assert all(problem.startswith("docs/deeper/other.md:3: ") for problem in pages.problems())


def test_a_number_in_the_text_of_a_notebook_is_found(pages):
    cells = [
        {"cell_type": "code", "source": ["x = 0.5"]},
        {"cell_type": "markdown", "source": ["# Title\n", "about 0.25 of them"]},
    ]
    (pages.root / "notebooks").mkdir()
    (pages.root / "notebooks" / "n.ipynb").write_text(json.dumps({"cells": cells}))
    (problem,) = pages.problems()
    assert problem.startswith("notebooks/n.ipynb:cell 2, line 2: 0.25 ")


def test_a_number_above_a_preset_is_found_unless_it_is_part_of_a_command(pages):
    (pages.root / "conf" / "experiment").mkdir(parents=True)
    text = "# @package _global_\n# python train.py lr=0.1\n# reaches 0.75\nlr: 0.5  # half\n"
    (pages.root / "conf" / "experiment" / "a.yaml").write_text(text)
    (problem,) = pages.problems()
    assert problem.startswith("conf/experiment/a.yaml:3: 0.75 ")


def test_a_short_text_of_a_cell_can_stand_in_prose(pages):
    paired = PairedDifference("accuracy", Interval(0.1, 0.05, 0.15, 0.95), 0.001, 40, 20, p_holm=0.002)
    table = [{"A − B": "a − b", "accuracy": difference_cell(paired)}]
    folder = pages.root / "docs" / "results"
    write_result("other", rows="", intervals="", tables={"differences": table}, folder=folder)
    reference = "other.differences[a − b].accuracy"
    texts = [pages.shown(f"{reference}{part}", folder / "p.md", table=False) for part in ("", ".short", ".p_holm")]
    assert texts == ["+0.100 [+0.050, +0.150], p = 0.002, A better", "+0.100 [+0.050, +0.150]", "0.002"]


def test_an_exception_holds_for_its_words_alone(pages):
    (pages.root / "docs" / "other.md").write_text("A level of\n0.05 is a setting, a p of 0.05 is not.\n")
    exceptions = pages.root / "docs" / "results" / "exceptions.txt"
    exceptions.write_text("# why\ndocs/other.md | A level of 0.05 | a setting\n")
    assert [problem.partition(" is no")[0] for problem in pages.problems()] == ["docs/other.md:2: 0.05"]


def test_an_exception_that_allows_nothing_is_named(pages):
    exceptions = pages.root / "docs" / "results" / "exceptions.txt"
    exceptions.write_text("README.md | in 0.5 of them | a setting\n")
    assert list(pages.problems()) == [
        "docs/results/exceptions.txt:1: README.md has no number in the words 'in 0.5 of them'"
    ]


def test_an_exception_of_a_page_that_cannot_be_filled_is_not_said_to_allow_nothing(pages):
    (pages.root / "docs" / "other.md").write_text("A level of 0.05.\n<!-- value: gone.x -->1<!-- end -->\n")
    (pages.root / "docs" / "results" / "exceptions.txt").write_text("docs/other.md | A level of 0.05 | a setting\n")
    assert [problem.partition(":")[0] for problem in pages.problems()] == ["docs/other.md"]


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "results").glob("*.json")), ids=lambda path: path.stem)
def test_stored_texts_are_those_of_the_stored_numbers(path):
    result = json.loads(path.read_text())
    cells = [cell for table in result["tables"].values() for row in table for cell in row.values()]
    for cell in [*cells, *result["values"].values()]:
        if isinstance(cell, str) or "estimate" not in cell:
            continue
        ends = [math.nan if cell[name] is None else cell[name] for name in ("estimate", "low", "high")]
        text = difference_text if "p_holm" in cell else interval_text
        expected = text(Interval(*ends, confidence_level=0.95))
        assert cell["text"].startswith(expected) and cell.get("short", expected) == expected


def test_the_pages_of_the_project_are_as_the_stored_results():
    assert list(Pages(ROOT).problems()) == []
