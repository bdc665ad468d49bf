import torch
from torch import nn

from hallmark.data.images import SquareCrop
from hallmark.learning.encoders.base import Encoder, ImageEncoder


class ToyEncoder(Encoder):
    def __init__(self) -> None:
        super().__init__()
        self.frozen = False
        self.layers = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))


def test_a_frozen_encoder_stays_in_evaluation_mode_whatever_surrounds_it() -> None:
    encoder = ToyEncoder()
    around = nn.ModuleDict({"image": encoder})
    around.train()
    assert encoder.layers[1].training
    encoder.freeze()
    around.train()
    assert around.training and not encoder.training and not encoder.layers[1].training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_pixels_are_normalised_by_channel() -> None:
    encoder = ImageEncoder(image_size=2, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    expected = torch.tensor([-1.0, (0.2 - 0.25) / 0.25, 1.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    torch.testing.assert_close(encoder.normalized(pixels), expected)
    assert encoder.preprocessing == {
        "image_size": 2,
        "mean": [0.5, 0.25, 0.0],
        "std": [0.5, 0.25, 1.0],
        "transform": SquareCrop(2).settings,
    }
    assert encoder.state_dict() == {}
    assert encoder.half().normalized(pixels).dtype == torch.float16
