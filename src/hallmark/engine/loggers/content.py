"""What of a run goes to a dashboard: final metrics with their intervals, pictures of figures, bad cases."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from hallmark.data.images import read_image
from hallmark.runs.configuration import stored_resampling
from hallmark.runs.predictions import read_predictions
from hallmark.runs.run import Run
from hallmark.statistics.bootstrap import all_intervals
from hallmark.statistics.text import interval_text
from hallmark.storage.files import read_csv

PICTURES = 64  # rows of the bad-case table that show their picture, the worst ones
_SIDE = 256  # pixels


def final_metrics(run: Run, split: str) -> dict[str, float | str]:
    """`final/<split>/<task>/<metric>` of every measured split, with `/low`, `/high` and `/text` where it is `split`."""
    points: dict[str, float | str] = {
        f"final/{name}/{task}/{metric}": value
        for name, tasks in run.metrics.items()
        for task, metrics in tasks.items()
        for metric, value in metrics.items()
        if value is not None
    }
    resampling = stored_resampling(run.directory)
    for task, metrics in run.metrics.get(split, {}).items():
        table = read_predictions(run.directory / "predictions" / f"{split}.parquet")
        rows = table[table["task"] == task]
        names = [name for name, value in metrics.items() if value is not None and name != "n"]
        for name, interval in all_intervals(rows, names, resampling=resampling).items():
            key = f"final/{split}/{task}/{name}"
            points |= {f"{key}/text": interval_text(interval), f"{key}/low": interval.low, f"{key}/high": interval.high}
    return points


def selection(run: Run) -> dict[str, Any]:
    """Which checkpoint was selected, and by what; {} where no row is labelled."""
    return {f"selected/{key}": value for key, value in (run.record.selected or {}).items()}


def figure_files(written: Iterable[Path]) -> dict[str, Path]:
    """The PNG files among `written` by their name on the dashboard."""
    return {f"figures/{path.stem}": path for path in sorted(written) if path.suffix == ".png"}


def bad_case_rows(path: Path) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows of a bad-case table; a column `picture` holds images or None where the table has paths."""
    table = read_csv(path, dtype={"guid": str}).astype(object)
    columns, rows = [str(name) for name in table.columns], table.where(table.notna(), None).values.tolist()
    if "path" not in columns:
        return columns, rows
    column = columns.index("path")
    pictures = [_thumbnail(row[column]) if number < PICTURES else None for number, row in enumerate(rows)]
    return ["picture", *columns], [[picture, *row] for picture, row in zip(pictures, rows, strict=True)]


def _thumbnail(path: str | None) -> Image.Image | None:
    if not path:
        return None
    try:
        picture = read_image(Path(path))
    except OSError:
        return None
    picture.thumbnail((_SIDE, _SIDE))
    return picture
