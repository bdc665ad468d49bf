"""All presets of the sample profile on its test split: python -m benchmarks.sentiment_sample [--outputs FOLDER]

Each preset opens the test split once. With --outputs finished runs of another commit are read instead of fitted.
"""

import argparse
from pathlib import Path

from benchmarks.fits import fitted, looked_at
from benchmarks.results import write_result
from benchmarks.tables import against, difference_table, holm_sentence, majority, metric_table
from hallmark.runs.repeats import runs_of

REFERENCE = "clip_final"
PRESETS = (
    "sentiment_tfidf",
    "sentiment_image",
    "sentiment_text",
    "sentiment_late",
    "sentiment_gated",
    "clip_probe",
    "clip_lora",
    "clip_baseline",
    "clip_optimize",
    REFERENCE,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outputs", type=Path, help="folder of finished runs, which are read and not made again")
    outputs = parser.parse_args().outputs
    results = {preset: fitted([f"experiment={preset}"], outputs) for preset in PRESETS}
    predictions = {preset: looked_at(runs_of(result), outputs)[0] for preset, result in results.items()}
    reference = predictions[REFERENCE]
    differences = difference_table(against(REFERENCE, predictions, [name for name in PRESETS if name != REFERENCE]))
    write_result(
        "sentiment_sample",
        rows=f"{len(reference)} test rows in {reference['group'].nunique()} groups of the generated corpus; validation "
        "rows selected the epoch.",
        intervals=f"One seed each, so the intervals know the luck of rows only. {holm_sentence(differences)}",
        tables={
            "models": metric_table({"majority class": majority(reference), **predictions}),
            "differences": differences,
        },
        runs=[run for result in results.values() for run in runs_of(result)],
    )


if __name__ == "__main__":
    main()
