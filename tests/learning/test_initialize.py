from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn

from hallmark.learning.initialize import initialize_from


def module(out: int = 3) -> nn.Module:
    layers = OrderedDict(tower=nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5)), head=nn.Linear(5, out))
    return nn.Sequential(layers)


def saved(folder: Path, source: nn.Module) -> Path:
    torch.save({"state_dict": source.state_dict(), "epoch": 3}, folder / "best.ckpt")
    return folder / "best.ckpt"


def test_every_shared_tensor_is_copied_batch_statistics_included(tmp_path: Path) -> None:
    source, target = module(), module()
    source.tower(torch.randn(8, 4) + 3)
    names = initialize_from(target, saved(tmp_path, source))
    assert names == sorted(source.state_dict())
    for name, tensor in target.state_dict().items():
        assert torch.equal(tensor, source.state_dict()[name]), name


def test_what_does_not_fit_keeps_its_own_start(tmp_path: Path) -> None:
    source, target = module(out=2), module(out=3)
    before = target.head.weight.clone()
    names = initialize_from(target, saved(tmp_path, source))
    assert not [name for name in names if name.startswith("head")]
    assert torch.equal(target.head.weight, before)
    assert torch.equal(target.tower[0].weight, source.tower[0].weight)


def test_nothing_shared_is_an_error_even_with_equal_buffers(tmp_path: Path) -> None:
    source, target = nn.Linear(2, 2), nn.Linear(3, 3)
    for side in (source, target):
        side.register_buffer("class_weights", torch.ones(3))
    with pytest.raises(ValueError, match=r"init_from: .*best\.ckpt shares 0 of"):
        initialize_from(target, saved(tmp_path, source))


def test_a_bias_that_other_layers_happen_to_share_is_not_enough_and_a_part_of_a_model_is(tmp_path: Path) -> None:
    def layers(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(4, width), nn.Linear(width, 3))

    source, target = layers(8), layers(9)
    before = target[1].bias.clone()
    with pytest.raises(ValueError, match="shares 3 of its 67 numbers with the 75 of this model"):
        initialize_from(target, saved(tmp_path, source))
    assert torch.equal(target[1].bias, before)
    assert initialize_from(nn.Sequential(source[0]), saved(tmp_path, source)) == ["0.bias", "0.weight"]


def test_a_foreign_pickle_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": module()}, tmp_path / "best.ckpt")
    with pytest.raises(ValueError, match="refused"):
        initialize_from(module(), tmp_path / "best.ckpt")
