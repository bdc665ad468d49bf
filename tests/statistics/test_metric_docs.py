import re
from pathlib import Path

from hallmark.statistics import CLASSIFICATION_METRICS, LOWER_IS_BETTER

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def rows() -> dict[str, list[str]]:
    """The cells of the table of metrics by metric."""
    section = PAGE.read_text(encoding="utf-8").split("## Metrics\n")[1].split("\n## ")[0]
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in section.splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_every_metric_is_defined_once_and_nothing_else_is() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert set(rows()) == {*CLASSIFICATION_METRICS, "score"}
    assert all(text.count(f"\n| `{name}` |") == 1 for name in rows())


def test_the_better_direction_is_that_of_the_code() -> None:
    assert {name for name, cells in rows().items() if cells[1] == "lower"} == LOWER_IS_BETTER
    assert all(cells[1] in ("lower", "higher") for cells in rows().values())
