"""What else lies beside a result: loss weights of its fit, and the robustness that an analysis measured."""

from hallmark.analysis.multitask.loss_weights import TABLE, WEIGHT, loss_weight_curves, read_loss_weights
from hallmark.analysis.presentation import interval_note, interval_texts
from hallmark.analysis.robustness import CLEAN, robustness_figure
from hallmark.analysis.robustness import TABLE as ROBUSTNESS
from hallmark.report.charts import chart_name
from hallmark.report.content import Chart, Charts, Section, Table
from hallmark.report.sources import ReportedResult
from hallmark.storage.files import read_csv
from hallmark.wording import SPLITS, readable


def loss_weights(result: ReportedResult, prefix: str) -> Section | None:
    """Weights and losses by step; None for a model with one loss term."""
    if not all((run.directory / f"{TABLE}.csv").exists() for _, run in result.members):
        return None
    tables = read_loss_weights(result.directory)
    if sum(str(name).startswith(WEIGHT) for name in tables[0]) == 1:
        return None
    alt = "weight of each loss term by step, its share of all weights, and the unweighted losses"
    return Section("Loss weights", [Charts([Chart(chart_name(prefix, TABLE), loss_weight_curves(*tables), alt)])])


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
