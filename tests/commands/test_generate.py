"""`hallmark generate`: the pictures of a run, and what it refuses."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hallmark.engine.config.trust import NO_TRUST
from hallmark.engine.finished import FinishedRun
from hallmark.engine.job import Job
from hallmark.engine.train import train
from hallmark.runs.run import Run
from hallmark.systems.digits.gan import DigitsGan

pytestmark = pytest.mark.e2e

ALONE = [
    "experiment=digits_gan", "parents.classifier=null", "parents.judge=null", "model.class_weight=0",
    "model.judged=false", "model.width=2", "data.batch_size=16", "callbacks.progress=null", "trainer.max_epochs=1",
    "trainer.limit_train_batches=2",
]  # fmt: skip

Hallmark = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def fitted(compose, tmp_path_factory) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hallmark.engine.train.print_result", lambda *_: [])
        config = compose(*ALONE, f"paths.outputs={tmp_path_factory.mktemp('outputs')}")
        train(config)
    return Job.of(config).run


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_class_is_drawn_by_name_or_number_and_the_same_again(hallmark: Hallmark, fitted: Run, tmp_path: Path) -> None:
    words = ["generate", str(fitted.directory.parent), "target_class=7", "n=3", "seed=5", "--output"]
    code, printed, _ = hallmark(*words, str(tmp_path / "a"))
    assert code == 0 and "3 pictures" in printed
    files = content(tmp_path / "a")
    assert set(files) == {"sheet.png", *(f"7_7_000{i}.png" for i in range(3))}
    assert hallmark(*words, str(tmp_path / "b"))[0] == hallmark(*words, str(tmp_path / "b"))[0] == 0
    assert content(tmp_path / "b") == files
    assert len(set(files.values())) == 4
    with Image.open(tmp_path / "a" / "sheet.png") as sheet, Image.open(tmp_path / "a" / "7_7_0001.png") as image:
        assert image.size == (8, 8) and sheet.size == (3 * 9 - 1, 8)
        assert np.array_equal(np.asarray(sheet)[:, 9:17, 0], np.asarray(image))


def test_pictures_are_of_the_selected_weights(hallmark: Hallmark, fitted: Run, tmp_path: Path, monkeypatch) -> None:
    indices: list[torch.Tensor] = []
    draw = DigitsGan.draw
    monkeypatch.setattr(DigitsGan, "draw", lambda *given: (indices.append(given[2]), draw(*given))[1])
    assert hallmark("generate", str(fitted.directory), "n=2", "--output", str(tmp_path))[0] == 0
    assert len(content(tmp_path)) == 10 * 2 + 1
    module = FinishedRun(fitted, 0, trust=NO_TRUST).module
    assert isinstance(module, DigitsGan)
    with torch.no_grad():
        expected = draw(module, torch.tensor([4, 4]), indices[4].cpu())[1, 0]
    with Image.open(tmp_path / "4_4_0001.png") as image:
        assert np.asarray(image) == pytest.approx((255 * expected).round().numpy(), abs=1)


def test_another_seed_gives_other_pictures_and_more_of_them_begin_with_the_same(
    hallmark: Hallmark, fitted: Run, tmp_path: Path
) -> None:
    for folder, settings in (("a", ["n=2"]), ("more", ["n=4"]), ("other", ["n=2", "seed=1"])):
        words = ["generate", str(fitted.directory), "target_class=1", *settings, "--output", str(tmp_path / folder)]
        assert hallmark(*words)[0] == 0
    first, more, other = (content(tmp_path / folder) for folder in ("a", "more", "other"))
    assert first["1_1_0001.png"] == more["1_1_0001.png"]
    assert first["1_1_0000.png"] != other["1_1_0000.png"]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (["target_class=ten"], "target_class='ten'"), (["target_class=10"], "target_class='10'"), (["n=0"], "n='0'"),
        (["seed=-1"], "seed='-1'"), (["target_class=" + "9" * 5000], "target_class='999"),
        ([f"n={'9' * 5000}"], "n='999"), (["n=many"], "n='many'"), (["count=3"], "SETTING='count=3'"),
        (["n=3", "n=4"], "n='4'"), (["--setting", "seed=3"], "seed: no effect"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(
    hallmark: Hallmark, fitted: Run, tmp_path: Path, settings: list[str], key: str
) -> None:
    code, _, refused = hallmark("generate", str(fitted.directory), *settings, "--output", str(tmp_path / "new"))
    assert code == 2 and refused.startswith(f"error: {key}")
    assert not (tmp_path / "new").exists()


def test_a_class_that_the_run_was_not_fitted_to_draw_is_refused(
    hallmark: Hallmark, fitted: Run, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(DigitsGan, "drawn_classes", [3])
    words = ["generate", "--output", str(tmp_path / "new"), str(fitted.directory), "n=1"]
    code, _, refused = hallmark(*words, "target_class=4")
    assert code == 2 and refused.startswith("error: target_class='4'") and not (tmp_path / "new").exists()
    assert hallmark(*words)[0] == 0 and set(content(tmp_path / "new")) == {"3_3_0000.png", "sheet.png"}


def test_files_of_others_are_not_overwritten(hallmark: Hallmark, fitted: Run, tmp_path: Path) -> None:
    words = ["generate", str(fitted.directory), "target_class=2", "n=2", "--output"]
    (tmp_path / "2_2_0001.png").write_text("a picture of my own")
    (tmp_path / "notes.txt").write_text("stays")
    code, _, refused = hallmark(*words, str(tmp_path))
    assert code == 2 and refused.startswith("error: --output=") and "2_2_0001.png" in refused
    assert content(tmp_path) == {"2_2_0001.png": b"a picture of my own", "notes.txt": b"stays"}
    (tmp_path / "2_2_0001.png").unlink()
    assert hallmark(*words, str(tmp_path))[0] == 0 and (tmp_path / "notes.txt").read_text() == "stays"
    code, _, refused = hallmark(*words, str(tmp_path / "notes.txt"))
    assert code == 2 and refused.startswith("error: --output=")


def test_a_run_that_draws_nothing_is_refused(hallmark: Hallmark, compose, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("hallmark.engine.train.print_result", lambda *_: [])
    config = compose(
        "experiment=digits_classifier", "callbacks.progress=null", "trainer.max_epochs=1",
        "trainer.limit_train_batches=1", f"paths.outputs={tmp_path / 'outputs'}",
    )  # fmt: skip
    train(config)
    folder = str(Job.of(config).directory)
    code, _, refused = hallmark("generate", folder, "--output", str(tmp_path / "new"))
    assert code == 2 and refused.startswith("error: RUN=") and "DigitsClassifier" in refused


def test_changed_weights_and_missing_runs_are_refused(hallmark: Hallmark, fitted: Run, tmp_path: Path) -> None:
    code, _, refused = hallmark("generate", str(tmp_path), "--output", str(tmp_path / "new"))
    assert code == 2 and str(tmp_path) in refused
    copied = tmp_path / "run"
    shutil.copytree(fitted.directory, copied)
    (copied / "checkpoints" / "best.ckpt").write_bytes(b"no weights")
    code, _, refused = hallmark("generate", str(copied), "--output", str(tmp_path / "new"))
    assert code == 2 and refused.startswith("error: ") and not (tmp_path / "new").exists()
