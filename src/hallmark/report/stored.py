"""What else lies beside a result: loss weights and pictures of its fit, and the robustness that was measured."""

import re

import numpy as np

from hallmark.analysis.multitask.loss_weights import TABLE, WEIGHT, loss_weight_curves, read_loss_weights
from hallmark.analysis.plots.training_curves import selected_epoch
from hallmark.analysis.presentation import interval_note, interval_texts
from hallmark.analysis.robustness import CLEAN, robustness_figure
from hallmark.analysis.robustness import TABLE as ROBUSTNESS
from hallmark.report.charts import chart_name
from hallmark.report.content import Block, Chart, Charts, Picture, Pictures, Section, Table
from hallmark.report.measures import thumbnail
from hallmark.report.sources import ReportedResult
from hallmark.storage.files import read_csv
from hallmark.wording import SPLITS, plural, readable

_NAMES, _EPOCHS = 4, 6  # pictures that are shown, which bounds the size of the page


def loss_weights(result: ReportedResult, prefix: str) -> Section | None:
    """Weights and losses by step; None for a model with one loss term."""
    if not all((run.directory / f"{TABLE}.csv").exists() for _, run in result.members):
        return None
    tables = read_loss_weights(result.directory)
    if sum(str(name).startswith(WEIGHT) for name in tables[0]) == 1:
        return None
    alt = "weight of each loss term by step, its share of all weights, and the unweighted losses"
    return Section("Loss weights", [Charts([Chart(chart_name(prefix, TABLE), loss_weight_curves(*tables), alt)])])


def epoch_pictures(result: ReportedResult) -> Section | None:
    """A few pictures of the fit by name, from its first epoch to its last; of a set of repeats those of its first run.

    None where the fit drew none.
    """
    note, run = result.members[0]
    by_name: dict[str, list[int]] = {}
    for path in run.pictures.glob("*.png"):
        if match := re.fullmatch(r"([a-z0-9_]+)_(\d+)", path.stem):
            by_name.setdefault(match[1], []).append(int(match[2]))
    best = selected_epoch(run.history, run.record.selected) if by_name else None
    blocks: list[Block] = []
    for name, epochs in sorted((name, sorted(epochs)) for name, epochs in by_name.items())[:_NAMES]:
        positions = np.linspace(0, len(epochs) - 1, min(len(epochs), _EPOCHS))
        chosen = {epochs[round(position)] for position in positions} | {epoch for epoch in epochs if epoch == best}
        pictures = [
            Picture(f"{readable(name)}, epoch {epoch}{', selected' * (epoch == best)}", picture)
            for epoch in sorted(chosen)
            if (picture := thumbnail(str(run.pictures / f"{name}_{epoch}.png"))) is not None
        ]
        some = f"{len(pictures)} of " * (len(pictures) < len(epochs))
        blocks.append(
            Pictures(pictures, f"{readable(name)}: {some}{plural(len(epochs), 'epoch')}{note and f', {note}'}.")
        )
    return Section("Pictures by epoch", blocks) if blocks else None


def robustness(result: ReportedResult, prefix: str) -> Section | None:
    """The last robustness analysis; None where there is none, or it is of a split that may not be shown."""
    path = result.directory / "analysis" / f"{ROBUSTNESS}.csv"
    if not path.exists():
        return None
    table = read_csv(path)
    split = str(table["split"].iloc[0])
    if split not in SPLITS or (split == "test" and not result.opened) or table["perturbation"].eq(CLEAN).all():
        return None
    alt = "each metric by strength of the perturbations; the numbers are in the table"
    chart = Chart(chart_name(prefix, ROBUSTNESS), robustness_figure(table), alt)
    level_column = "confidence_level" if "confidence_level" in table else "level"  # of older versions
    level = float(table[level_column].iloc[0])
    columns = {
        "task": table["task"].astype(str), "metric": table["metric"].astype(str).map(readable),
        "perturbation": table["perturbation"].astype(str).map(readable), "strength": table["strength"].astype(str),
        f"value [{100 * level:g} % interval]": interval_texts(table, "value"),
        f"drop [{100 * level:g} % interval]": interval_texts(table, "drop", "+"),
    }  # fmt: skip
    if table[["task", "metric"]].drop_duplicates().shape[0] == 1:
        del columns["task"], columns["metric"]
    notes = [
        "A drop is clean − perturbed on the same rows, or perturbed − clean where lower is better: positive is worse.",
        "Strength 0 is clean.",
        *interval_note(table),
    ]
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    numeric = frozenset(range(len(columns) - 3, len(columns)))
    values = Table(list(columns), rows, numeric, note=" ".join(notes))
    return Section(f"Robustness on {SPLITS[split]}", [Charts([chart]), values])
