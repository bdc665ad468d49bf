"""Pictures by epoch: which are written, of what, and that the fit never notices."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hallmark.checks import SettingError
from hallmark.learning.callbacks.pictures import EpochPictures, tiled


def pictures(folder: Path, every: int = 1) -> EpochPictures:
    callback = EpochPictures(every)
    callback.attach_run(folder, seed=0)
    return callback


@pytest.fixture
def drawing(classifier: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """A function from what `epoch_figures` gives to a module that gives it."""

    def drawing(figures: Callable[[int], Any]) -> Any:
        module = classifier()
        monkeypatch.setattr(type(module), "epoch_figures", lambda _, epoch: figures(epoch))
        return module

    return drawing


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_every_third_epoch_from_the_first_has_pictures(drawing: Callable, fit: Callable, tmp_path: Path) -> None:
    fit(drawing(lambda epoch: {"a": np.zeros((300, 2)), "b_2": np.ones((300, 2, 3))}), pictures(tmp_path, 3), epochs=7)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}_{epoch}.png" for name in ("a", "b_2") for epoch in (0, 3, 6)
    }


def test_a_second_folder_has_the_same_pictures(drawing: Callable, fit: Callable, tmp_path: Path) -> None:
    callback = EpochPictures(1)
    callback.attach_run(tmp_path / "run", seed=0, copies=tmp_path / "copies")
    fit(drawing(lambda epoch: {"a": np.full((2, 2), epoch)}), callback, epochs=2)
    for name in ("a_0.png", "a_1.png"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "copies" / name).read_bytes()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[0.0, 1.0], [0.5, 2.0]]), [[0, 255], [128, 255]]),
        (np.array([[0, 7], [9, 255]], dtype=np.uint8), [[0, 7], [9, 255]]),
        (torch.tensor([[[0.0, 1.0, 0.2]]]), [[[0, 255, 51]]]),
        (np.array([[np.nan]]), [[0]]),
    ],
)
def test_small_arrays_are_enlarged_by_a_whole_factor(
    drawing: Callable, fit: Callable, tmp_path: Path, array: Any, expected: list
) -> None:
    fit(drawing(lambda epoch: {"x": array}), pictures(tmp_path), epochs=1)
    drawn, size = pixels(tmp_path / "x_0.png"), len(expected)
    assert drawn.shape[:2] == (512, 512)
    assert drawn[:: 512 // size, :: 512 // size].tolist() == expected


def test_integers_of_any_size_are_bytes(drawing: Callable, fit: Callable, tmp_path: Path) -> None:
    gray = np.full((600, 600), 128, dtype=np.int64)
    fit(drawing(lambda _: {"gray": gray}), pictures(tmp_path))
    assert (pixels(next(tmp_path.rglob("gray_*.png"))) == 128).all()
    with pytest.raises(ValueError, match="gray holds 128 to 256"):
        fit(drawing(lambda _: {"gray": np.where(gray[:1] > 0, [128] * 599 + [256], 0)}), pictures(tmp_path))


def test_figures_of_matplotlib_are_drawn_too(drawing: Callable, fit: Callable, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    fit(drawing(lambda epoch: {"x": Figure((1, 1), dpi=50)}), pictures(tmp_path), epochs=1)
    assert pixels(tmp_path / "x_0.png").shape[:2] == (50, 50)


@pytest.mark.parametrize(
    "figures", [{"x": np.zeros((2, 2, 4))}, {"x": np.zeros(3)}, {"../x": np.zeros((2, 2))}, {"x": np.zeros((0, 2))}]
)
def test_what_is_no_picture_is_named(drawing: Callable, fit: Callable, tmp_path: Path, figures: dict) -> None:
    with pytest.raises(ValueError, match=r"picture .*x"):
        fit(drawing(lambda epoch: figures), pictures(tmp_path), epochs=1)


def test_drawing_takes_no_random_number_and_no_mode_from_the_fit(
    drawing: Callable, classifier: Callable, fit: Callable, tmp_path: Path
) -> None:
    seen = []

    def figures(epoch: int) -> dict[str, Any]:
        seen.append((module.training, torch.is_grad_enabled()))
        return {"x": [[random.random(), np.random.rand(), torch.rand(1).item()]]}

    module = drawing(figures)
    fit(module, pictures(tmp_path))
    plain = classifier()
    fit(plain)
    assert seen == [(False, False)] * 3
    assert all(
        torch.equal(a, b) for a, b in zip(module.state_dict().values(), plain.state_dict().values(), strict=True)
    )
    assert module.training is plain.training
    drawn = [pixels(tmp_path / f"x_{epoch}.png")[:, ::170].tolist() for epoch in range(3)]
    assert drawn[0] != drawn[1] != drawn[2]
    fit(drawing(figures), pictures(tmp_path / "again"))
    assert [pixels(tmp_path / "again" / f"x_{epoch}.png")[:, ::170].tolist() for epoch in range(3)] == drawn


def test_nothing_is_drawn_for_no_run_and_by_a_module_that_draws_nothing(
    drawing: Callable, classifier: Callable, fit: Callable, tmp_path: Path
) -> None:
    fit(classifier(), pictures(tmp_path / "none"), epochs=1)
    fit(drawing(lambda epoch: pytest.fail("drawn")), EpochPictures(1), epochs=1)
    assert not (tmp_path / "none").exists()


def test_only_whole_numbers_of_epochs() -> None:
    with pytest.raises(SettingError) as caught:
        EpochPictures(0)
    assert caught.value.key == "every"


def test_tiles_stand_side_by_side_with_a_white_pixel_between() -> None:
    sheet = tiled(torch.stack([torch.full((1, 2, 3), 0.1 * i) for i in range(5)]), 3)
    assert sheet.shape == (5, 11, 3)
    assert sheet[0, 4].tolist() == pytest.approx([0.1] * 3) and sheet[3, 0].tolist() == pytest.approx([0.3] * 3)
    assert (sheet[2] == 1).all() and (sheet[:, 3] == 1).all() and (sheet[3:, 8:] == 1).all()


@pytest.mark.parametrize(("n", "n_columns"), [(3, 0), (3, -1), (0, 2)])
def test_a_sheet_has_images_and_columns(n: int, n_columns: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        tiled(torch.zeros(n, 1, 2, 2), n_columns)
