"""The page in a real browser: no error, no sideways scroll, nothing empty; light and dark, phone and laptop."""

from pathlib import Path

import pytest
from tests.report.browser import browser, missing
from tests.report.conftest import predictions

from hallmark.report.gather import gather
from hallmark.report.render import write

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

WIDE = "a-name-that-is-long-and-has-no-space-in-it-" * 4
LAYOUT = """
const seen = element => { const box = element.getBoundingClientRect(); return [box.width, box.height]; };
return {
  inner: innerWidth,
  scroll: document.scrollingElement.scrollWidth,
  images: [...document.images].map(one => [one.complete, one.naturalWidth, one.naturalHeight, ...seen(one)]),
  charts: [...document.querySelectorAll('svg')].map(seen),
  letters: [...document.querySelectorAll('svg text')].map(one => one.getBoundingClientRect().height),
  outside: [...document.querySelectorAll('main > *')].filter(one => seen(one)[0] > innerWidth).length,
  paper: getComputedStyle(document.body).backgroundColor,
  ink: getComputedStyle(document.body).color,
  chartInk: getComputedStyle(document.querySelector('svg text')).fill,
  contents: getComputedStyle(document.querySelector('nav')).display,
};
"""


@pytest.fixture
def folder(make_set, make_run, make_sweep, picture, tmp_path) -> Path:
    """A report with everything a report can have, and with texts that do not want to be wrapped."""
    hostile = predictions(
        path=picture, texts=[f"{WIDE} </p><script>document.title = 'taken over'</script>"] * 48, quality=0.4
    )
    command = ["python", "train.py", f"experiment={WIDE}"]
    run = make_run("sentiment_text", "bbbb0000", table=hostile, rich=True, command=command, problems={"cmyk_image": 1})
    (run.directory / "problems.csv").write_text(f"id,kind,policy,detail\n7,cmyk_image,keep,{WIDE}{WIDE}\n")
    report = gather(
        [make_set(rich=True).directory, run.directory, make_run("third", "cccc0000", seed=3).directory, make_sweep()]
    )
    write(report, tmp_path / "report")
    return tmp_path / "report"


def luminance(color: str) -> float:
    red, green, blue = (int(part) for part in color[color.index("(") + 1 :].rstrip(")").split(",")[:3])
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


def test_the_page_is_in_order_in_a_browser(folder: Path) -> None:
    with browser() as window:
        for width in (390, 1440):
            for dark in (False, True):
                window.open(folder / "report.html", width=width, dark=dark)
                layout = window.run(LAYOUT)
                assert window.logs() == []
                assert layout["inner"] == width and layout["scroll"] <= width and layout["outside"] == 0
                assert len(layout["images"]) >= 12 and len(layout["charts"]) >= 12
                assert all(complete and min(sizes) > 20 for complete, *sizes in layout["images"])
                assert all(min(size) > 60 for size in layout["charts"])
                assert min(layout["letters"]) > 7
                assert (luminance(layout["paper"]) < 0.3) is dark
                assert all((luminance(layout[name]) > 0.7) is dark for name in ("ink", "chartInk"))
                assert layout["contents"] != "none"
        assert window.run("return document.title") != "taken over"
        window.screenshot(folder / "page.png", whole=True)
        window.pdf(folder / "page.pdf")
    assert (folder / "page.png").stat().st_size > 50_000
    assert (folder / "page.pdf").read_bytes().startswith(b"%PDF")
