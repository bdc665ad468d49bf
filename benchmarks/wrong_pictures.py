"""What goes wrong with drawn characters, and the setting that does it: python -m benchmarks.wrong_pictures

Each case is the preset on a smaller world with one setting changed. Its pictures go to docs/results/wrong_pictures, and
its numbers are those of the validation rows, as no case is a result of its own. With --only, cases are fitted alone.
"""

import argparse
import shutil
from pathlib import Path

from benchmarks.fits import fitted
from benchmarks.pages import RESULTS
from benchmarks.results import Cell, number_cell, write_result
from hallmark.engine.setup import silence_expected_warnings
from hallmark.runs.predictions import read_predictions
from hallmark.runs.run import Run
from hallmark.statistics import table_metrics

EPOCHS = 30
SMALL = [
    "experiment=characters_generator", "data.sample.characters=[Aoi,Ren,Mika,Yuzu]", "data.sample.pictures=100",
    "data.batch_size=16", "model.width=12", "model.discriminator_width=12", f"callbacks.pictures.every={EPOCHS - 1}",
    f"trainer.max_epochs={EPOCHS}", "paths.generated=null", "model.optimizers.generator.ema_decay=0.98",
    *(f"model.optimizers.{part}.schedule=constant" for part in ("generator", "discriminator")),
]  # fmt: skip
CASES: dict[str, list[str]] = {
    "as the preset has it": [],
    "transposed convolutions": ["model.upsampling=transposed"],
    "no classification loss": ["model.loss.classification=0"],
    "perceptual loss above all": ["model.loss.match=picture", "model.loss.perceptual=10", "model.loss.adversarial=0.1"],
}
NUMBERS = {
    "judge accuracy": "judge_accuracy", "Fréchet ratio": "frechet_ratio", "diversity": "diversity",
    "energy near Nyquist": "nyquist_energy",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outputs", type=Path, help="folder of finished runs, which are read and not made again")
    parser.add_argument("--only", nargs="+", choices=list(CASES), help="cases to fit, without measuring them")
    arguments = parser.parse_args()
    silence_expected_warnings()
    runs: dict[str, Run] = {}
    for name in arguments.only or CASES:
        run = fitted([*SMALL, *CASES[name]], arguments.outputs)
        assert isinstance(run, Run)
        runs[name] = run
    if arguments.only:
        return
    rows: list[dict[str, Cell]] = []
    for name, run in runs.items():
        (metrics,) = table_metrics(read_predictions(run.directory / "predictions" / "val.parquet")).values()
        rows.append({"case": name, **{title: number_cell(metrics[key], 2) for title, key in NUMBERS.items()}})
        picture = RESULTS / "wrong_pictures" / f"{name.replace(' ', '_')}.png"
        picture.parent.mkdir(exist_ok=True)
        shutil.copyfile(run.pictures / f"samples_epoch_{EPOCHS - 1}.png", picture)
    n = runs[next(iter(CASES))].record.splits["val"]["n"]
    write_result(
        "wrong_pictures",
        rows=f"{n} validation pictures of four characters of the sample world and one drawn for each, one fit a case; "
        "they selected the epoch as well.",
        intervals="",
        tables={"cases": rows},
        runs=list(runs.values()),
    )


if __name__ == "__main__":
    main()
