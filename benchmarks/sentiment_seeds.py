"""Five seeds of the best preset against five seeds of text alone on a real corpus, on its sealed test split.

    python -m benchmarks.sentiment_seeds --folder ../shared/data/sentiment \
        --image-weights ../shared/data/weights/mobilenetv2_100_pad_same_fp16.pt --output README.md

Each fit is an ordinary run and each preset one set of repeats, which looks at the test split once.
"""

import argparse
from pathlib import Path

import pandas as pd
import torch
from hydra import compose, initialize_config_dir

from benchmarks.sentiment_real import CONF, models
from benchmarks.tables import write_block
from hallmark.engine.finished import sealed_tables
from hallmark.engine.job import Job
from hallmark.engine.repeats import train_repeats
from hallmark.runs.configuration import default_resampling
from hallmark.runs.repeats import RepeatSet
from hallmark.statistics import paired_difference, spread, table_metrics

BEST, BASELINE = "gated fusion, MiniLM fine-tuned", "text: MiniLM fine-tuned"
METRICS = {"accuracy": "accuracy", "macro_f1": "macro F1"}


def train_set(overrides: list[str], folder: str, seeds: int) -> RepeatSet:
    common = ["profile=full", f"data.folder={folder}", "data.split.test=0.2", "callbacks.progress=null"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", [*overrides, *common, f"repeat=seeds:{seeds}"])
    train_repeats(config)
    return RepeatSet(Job.of(config).directory)


def rows(tables: dict[str, list[pd.DataFrame]]) -> list[str]:
    """One line a set: mean ± standard deviation over its seeds of each metric."""
    lines = [f"| test rows, {len(tables[BEST])} seeds | {' | '.join(METRICS.values())} |", "|---|---|---|"]
    for name, found in tables.items():
        measured = [table_metrics(table)["main"] for table in found]
        cells = [str(spread([float(one[metric] or 0.0) for one in measured])) for metric in METRICS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def difference(sets: dict[str, RepeatSet]) -> str:
    pooled = {name: one.predictions("test") for name, one in sets.items()}
    cells = []
    for metric in METRICS:
        found = paired_difference(pooled[BASELINE], pooled[BEST], metric, resampling=default_resampling())
        low, high = found.difference.low, found.difference.high
        cells.append(f"{found.difference.estimate:+.3f} [{low:+.3f}, {high:+.3f}], p = {found.p_value:.4f}")
    return f"| difference, paired, over groups and seeds | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True)
    parser.add_argument("--image-weights", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    chosen = {name: models(arguments.image_weights)[name] for name in (BEST, BASELINE)}
    sets = {name: train_set(overrides, arguments.folder, arguments.seeds) for name, overrides in chosen.items()}
    looks = {name: sealed_tables([member.run for member in one.members]) for name, one in sets.items()}
    table = looks[BEST][0]
    size = f"{len(table)} test rows in {table['group'].nunique()} groups, {torch.get_num_threads()} thread(s)."
    write_block(arguments.output, [size, "", *rows(looks), difference(sets)], "seeds")


if __name__ == "__main__":
    main()
