"""Five seeds of the best preset against five seeds of text alone on a real corpus, on its sealed test split.

    python -m benchmarks.sentiment_seeds --folder ../shared/data/sentiment \
        --image-weights ../shared/data/weights/mobilenetv2_100_pad_same_fp16.pt

Each fit is an ordinary run and each preset one set of repeats, which opens the test split once.
"""

import argparse
from pathlib import Path

from benchmarks.fits import fitted, looked_at
from benchmarks.results import Cell, spread_cell, write_result
from benchmarks.sentiment_real import FUSED, TEXT, models
from benchmarks.tables import COMPARED, TITLES, difference_table, holm_sentence, metric_table
from hallmark.runs.repeats import RepeatSet, runs_of
from hallmark.statistics import spread, table_metrics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True)
    parser.add_argument("--image-weights", required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--outputs", type=Path, help="folder of finished runs, which are read and not made again")
    arguments = parser.parse_args()
    common = [
        "profile=full",
        f"data.folder={arguments.folder}",
        "data.split.test=0.2",
        f"repeat=seeds:{arguments.seeds}",
    ]
    sets: dict[str, RepeatSet] = {}
    spreads: list[dict[str, Cell]] = []
    for name in (FUSED, TEXT):
        repeats = fitted([*models(arguments.image_weights)[name], *common], arguments.outputs)
        assert isinstance(repeats, RepeatSet)
        measured = [table_metrics(table)["main"] for table in looked_at(runs_of(repeats), arguments.outputs)]
        cells = {
            TITLES[metric]: spread_cell(spread(float(of[metric] or 0.0) for of in measured)) for metric in COMPARED
        }
        spreads.append({"mean ± standard deviation over seeds": name, **cells})
        sets[name] = repeats
    tables = {name: repeats.predictions("test") for name, repeats in sets.items()}
    rows = tables[FUSED]
    differences = difference_table({f"{FUSED} − {TEXT}": (rows, tables[TEXT])})
    write_result(
        "sentiment_seeds",
        rows=f"{rows['id'].str.rpartition('@')[0].nunique()} test rows in {rows['group'].nunique()} groups, "
        f"{arguments.seeds} seeds; validation rows selected the epoch.",
        intervals=f"The intervals know groups of rows and seeds. {holm_sentence(differences)}",
        tables={"models": metric_table(tables, COMPARED), "spreads": spreads, "differences": differences},
        runs=[run for repeats in sets.values() for run in runs_of(repeats)],
    )


if __name__ == "__main__":
    main()
