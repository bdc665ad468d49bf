"""What pictures with texts may suffer."""

import torch

from hallmark.data.perturb import IMAGE_PERTURBATIONS
from hallmark.learning.encoders.base import ImageEncoder


class Picture(ImageEncoder):
    def __init__(self) -> None:
        super().__init__(image_size=16, mean=[0.5] * 3, std=[0.5] * 3)


def images(data, view=None) -> torch.Tensor:
    return torch.cat([batch["image"] for batch in data.eval_dataloader("val", view)])


def test_pictures_suffer_only_where_the_model_reads_them(module_of):
    data = module_of()
    data.configure_inputs({"text": None}, None)
    assert data.perturbations() == {}
    data.configure_inputs({"text": None, "image": Picture()}, None)
    assert list(data.perturbations()) == ["noise", "blur", "jpeg", "crop", "scale"]


def test_each_row_suffers_from_a_seed_of_its_own_and_always_the_same_one(module_of):
    data = module_of()
    data.configure_inputs({"image": Picture()}, None)
    clean, noisy = images(data), images(data, IMAGE_PERTURBATIONS["noise"].at(3))
    assert torch.equal(noisy, images(data, IMAGE_PERTURBATIONS["noise"].at(3)))
    noise = noisy.int() - clean.int()
    assert noise.ne(0).float().mean() > 0.5
    assert not torch.equal(noise[0], noise[1])


def test_samples_that_are_no_signals_have_no_series(module_of):
    assert module_of().series("val", [0]) is None
