"""Perturbations of pictures: what their strengths mean, and that a seed names one result."""

import hashlib
import io
import pickle
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from hallmark.checks import SettingError
from hallmark.data.perturb import IMAGE_PERTURBATIONS, STRENGTHS, Blur, Noise, transform_name

NAMES = list(IMAGE_PERTURBATIONS)
CASES = [(name, strength, seed) for name in NAMES for strength in (1, 5) for seed in (0, 2**62)]


def made(size: tuple[int, int] = (48, 64)) -> torch.Tensor:
    """Smooth color with an edge, uint8 [3, H, W], without randomness."""
    down, across = np.mgrid[: size[0], : size[1]]
    planes = [128 + 100 * np.sin(across / 9 + i) * np.cos(down / (7 + i)) for i in range(3)]
    pixels = np.stack(planes)
    pixels[:, :, size[1] // 2 :] *= 0.5
    return torch.from_numpy(pixels.clip(0, 255).astype(np.uint8))


def digest(name: str, strength: int, seed: int) -> str:
    changed = IMAGE_PERTURBATIONS[name].at(strength)(made(), seed)
    return hashlib.sha256(changed.contiguous().numpy().tobytes()).hexdigest()


def flat(value: int = 128, size: int = 200) -> torch.Tensor:
    return torch.full((3, size, size), value, dtype=torch.uint8)


def level(name: str, strength: int) -> float:
    return IMAGE_PERTURBATIONS[name].levels[strength - 1]


def test_the_same_bytes_twice_in_any_order_and_in_another_process():
    first = {case: digest(*case) for case in CASES}
    assert {case: digest(*case) for case in reversed(CASES)} == first
    code = f"from tests.data.test_perturb import *\nfor case in {CASES!r}: print(digest(*case))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == list(first.values())


@pytest.mark.parametrize("name", NAMES)
def test_shape_and_input_stay_and_a_stronger_change_is_larger(name):
    pixels = made()
    before = pixels.clone()
    changed = [IMAGE_PERTURBATIONS[name].at(strength)(pixels, 3) for strength in STRENGTHS]
    assert all(image.shape == pixels.shape and image.dtype == torch.uint8 for image in changed)
    assert torch.equal(pixels, before)
    distances = [float((image.float() - pixels.float()).abs().mean()) for image in changed]
    assert distances[0] > 0 and distances == sorted(distances) and len(set(distances)) == len(STRENGTHS)


@pytest.mark.parametrize("name", NAMES)
def test_only_noise_and_crop_depend_on_the_seed(name):
    view = IMAGE_PERTURBATIONS[name].at(4)
    assert torch.equal(view(made(), 1), view(made(), 2)) == (name not in ("noise", "crop"))


@pytest.mark.parametrize("strength", [1, 2, 3])
def test_noise_has_its_standard_deviation_in_grey_levels(strength):
    changed = IMAGE_PERTURBATIONS["noise"].at(strength)(flat(), 0).float()
    assert changed.std().item() == pytest.approx(level("noise", strength), rel=0.03)
    assert changed.mean().item() == pytest.approx(128, abs=0.3)


@pytest.mark.parametrize("strength", [3, 5])
def test_the_radius_of_a_blur_is_a_share_of_the_width(strength):
    edge = flat(0)
    edge[:, :, 100:] = 255
    profile = IMAGE_PERTURBATIONS["blur"].at(strength)(edge, 0)[0, 100].double().numpy()
    spread = np.diff(profile) / 255
    positions = np.arange(199)
    mean = (positions * spread).sum()
    assert np.sqrt(((positions - mean) ** 2 * spread).sum()) == pytest.approx(level("blur", strength) * 200, rel=0.1)


def test_jpeg_is_that_of_its_quality():
    pixels = made()
    written = io.BytesIO()
    Image.fromarray(pixels.numpy().transpose(1, 2, 0).copy()).save(written, "JPEG", quality=25, subsampling="4:2:0")
    expected = np.asarray(Image.open(written).convert("RGB")).transpose(2, 0, 1)
    assert level("jpeg", 3) == 25
    assert np.array_equal(IMAGE_PERTURBATIONS["jpeg"].at(3)(pixels, 0).numpy(), expected)


@pytest.mark.parametrize("strength", STRENGTHS)
def test_a_crop_shows_its_share_of_each_side(strength):
    ramp = torch.arange(200, dtype=torch.uint8).expand(3, 200, 200).clone()
    changed = IMAGE_PERTURBATIONS["crop"].at(strength)(ramp, 5)[0, 100].double()
    assert (changed[180] - changed[20]).item() / 160 == pytest.approx(level("crop", strength), abs=0.02)


def test_scale_keeps_what_is_coarse_and_loses_what_is_fine():
    stripes = flat(0)
    stripes[:, :, ::2] = 200
    assert IMAGE_PERTURBATIONS["scale"].at(4)(stripes, 0)[:, :, 20:180].float().std() < 3
    halves = flat(0)
    halves[:, :, 100:] = 200
    changed = IMAGE_PERTURBATIONS["scale"].at(4)(halves, 0)
    assert changed[:, :, :80].max() < 5 and changed[:, :, 120:].min() > 195


@pytest.mark.parametrize("strength", [0, 6, -1])
def test_there_is_no_other_strength(strength):
    with pytest.raises(SettingError, match=rf"^strength={strength}: expected 1 to 5"):
        IMAGE_PERTURBATIONS["blur"].at(strength)


def test_worker_processes_can_be_told_of_a_view():
    view = pickle.loads(pickle.dumps(IMAGE_PERTURBATIONS["noise"].at(2)))
    assert torch.equal(view(made(), 9), IMAGE_PERTURBATIONS["noise"].at(2)(made(), 9))


@pytest.mark.parametrize("sigma", [10.0, 20.0])
def test_noise_of_a_standard_deviation(sigma):
    changed = Noise(sigma)(flat(), 0)
    assert changed.dtype == torch.uint8 and changed.shape == (3, 200, 200)
    difference = changed.float() - 128
    assert difference.std().item() == pytest.approx(sigma, rel=0.02)
    assert difference.mean().item() == pytest.approx(0, abs=0.2)
    assert np.corrcoef(difference.reshape(3, -1))[0, 1] == pytest.approx(0, abs=0.02)  # each channel has its own
    assert torch.equal(changed, Noise(sigma)(flat(), 0))
    assert not torch.equal(changed, Noise(sigma)(flat(), 1))
    assert Noise(sigma)(flat(0), 0).min() == 0 and Noise(sigma)(flat(255), 0).max() == 255


@pytest.mark.parametrize(("kernel", "sigma"), [(5, 1.1), (9, 1.7)])
def test_a_blur_is_that_of_an_odd_kernel_with_its_sigma(kernel, sigma):
    """OpenCV: a sigma of 0.3 ((k - 1) / 2 - 1) + 0.8 where none is given (getGaussianKernel)."""
    point = flat(0, size=41)
    point[:, 20, 20] = 255
    spread = Blur(kernel)(point, 0)[0].double().numpy()
    reach = kernel // 2
    assert spread[20 - reach : 21 + reach, 20 - reach : 21 + reach].sum() == spread.sum()  # nothing beyond the kernel
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    expected = 255 * np.outer(weights, weights)
    assert np.abs(spread[20 - reach : 21 + reach, 20 - reach : 21 + reach] - expected).max() <= 0.5 + 1e-6
    assert torch.equal(Blur(kernel)(flat(77), 0), flat(77))  # edges are no darker
    assert torch.equal(Blur(kernel)(made(), 1), Blur(kernel)(made(), 2))


@pytest.mark.parametrize(
    ("build", "key"),
    [
        (lambda: Noise(0.0), "sigma"), (lambda: Noise(-1.0), "sigma"), (lambda: Blur(1), "kernel"),
        (lambda: Blur(4), "kernel"), (lambda: Blur(-3), "kernel"),
    ],
)  # fmt: skip
def test_a_perturbation_out_of_range_names_its_key(build, key):
    with pytest.raises(SettingError) as caught:
        build()
    assert caught.value.key == key


def test_views_are_named_by_what_they_do():
    assert repr(Noise(10.0)) == "Noise(sigma=10.0)" and repr(Blur(5)) == "Blur(kernel=5)"
    view = pickle.loads(pickle.dumps(Noise(10.0)))
    assert view == Noise(10.0) and torch.equal(view(made(), 3), Noise(10.0)(made(), 3))


def test_a_view_has_the_same_name_in_every_process():
    views = [kind.at(strength) for kind in IMAGE_PERTURBATIONS.values() for strength in (1, 2)] + [Noise(1.0), Blur(3)]
    names = [transform_name(view) for view in views]
    assert names[0] == "PerturbationView(name='noise', level=4)" and len(set(names)) == len(views)
    assert not any(" at 0x" in str(name) for name in names)
    assert transform_name(lambda sample, seed: sample) is None and transform_name(partial(print)) is None
