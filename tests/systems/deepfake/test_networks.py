import pytest
import torch

from hallmark.checks import SettingError
from hallmark.systems.deepfake.networks import FilterNet, TextureNet

SIZES = [(FilterNet, 10_500, 32, 12), (TextureNet, 25_500, 64, 16)]
"""Each network with its most parameters, at the sizes of the presets."""


@pytest.mark.parametrize(("network", "most", "size", "width"), SIZES)
def test_a_network_is_small_and_gives_an_embedding_of_its_size(network, most, size, width):
    encoder = network(image_size=size, width=width).eval()
    assert sum(parameter.numel() for parameter in encoder.parameters()) < most
    assert encoder.image_size == size
    pixels = torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)
    assert encoder(pixels).shape == (2, encoder.embedding_dim)


@pytest.mark.parametrize("arguments", [{"width": 4}, {"width": 0}, {"image_size": 8}])
def test_sizes_that_do_not_fit_are_refused(arguments):
    with pytest.raises(SettingError):
        FilterNet(**{"image_size": 32, "width": 12, **arguments})
