"""Both pages say the same, show every text as it is, and refer to nothing outside."""

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from tests.report.conftest import predictions
from tests.report.reading import Reader, page, sections, unescaped

from hallmark.report.content import Facts, Paragraph, Report, SampleCards, Section, Table
from hallmark.report.gather import gather
from hallmark.report.render import markdown, write

HOSTILE = (
    "</p><script>alert(1)</script> <img src=https://evil.example/x.png onerror=alert(1)> `| [a](javascript:b) \x07"
)


def test_both_pages_hold_the_same_facts(make_set, make_run, open_test_split, tmp_path):
    repeats, run = (
        make_set(rich=True),
        make_run("sentiment_text", "bbbb0000", seed=7, quality=0.5, problems={"cmyk_image": 1}),
    )
    open_test_split(run)
    report = gather([repeats.directory, run.directory])
    write(report, tmp_path)
    text = unescaped((tmp_path / "report.md").read_text())
    reader = Reader((tmp_path / "report.html").read_text())
    on_page = " ".join(reader.texts)
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
        case SampleCards():
            return [block.note, *(text for case in block.cases for text in (case.id, case.text, case.note))]
    return []


def test_nothing_hostile_becomes_markup(make_run, picture, tmp_path):
    frame = predictions(texts=[HOSTILE] * 48, path=picture)
    frame["id"] = [f"<i>{name}</i>" for name in frame["id"]]
    run = make_run(table=frame, command=["python", "train.py", "note=</dd><script>x</script>"])
    write(gather([run.directory]), tmp_path)
    text = (tmp_path / "report.html").read_text()
    reader = Reader(text)
    tags = {tag for tag, _ in reader.elements}
    assert not tags & {"script", "i", "iframe", "object", "link"}
    assert not any(name.startswith("on") for _, attributes in reader.elements for name in attributes)
    assert all(a["src"].startswith("data:image/jpeg;base64,") for tag, a in reader.elements if tag == "img")
    assert any("<script>alert(1)</script>" in fragment for fragment in reader.texts)  # shown, as text
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
