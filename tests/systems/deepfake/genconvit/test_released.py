"""Weights in the layout of the released files, which timm 0.6.5 wrote."""

import re

import torch
from pytest import fixture, mark, raises
from torch import Tensor

from hallmark.checks import SettingError, UserError
from hallmark.systems.deepfake.genconvit.published import PublishedNetwork
from hallmark.systems.deepfake.genconvit.released import released_requirement, timm_1_names

from .sizes import published


def of_timm_0(state: dict[str, Tensor], swins: list[str], *, blocks: list[int]) -> dict[str, Tensor]:
    """A state dict of timm 1 as timm 0.6.5 would have written it.

    A Swin downsampled at the end of a stage, its head was a layer itself, and each block stored its table of relative
    positions and, if it was shifted, its mask; the last stage has one window, which nothing shifts.
    """
    names = {}
    for name in state:
        swin = next((swin for swin in swins if name.startswith(f"{swin}.")), None)
        old = name
        if swin is not None:
            inner = name.removeprefix(f"{swin}.").replace("head.fc.", "head.")
            stage = re.match(r"layers\.(\d)\.downsample", inner)
            if stage:
                inner = inner.replace(f"layers.{stage[1]}", f"layers.{int(stage[1]) - 1}", 1)
            old = f"{swin}.{inner}"
        names[old] = state[name]
    for swin in swins:
        for stage, count in enumerate(blocks):
            for block in range(count):
                names[f"{swin}.layers.{stage}.blocks.{block}.attn.relative_position_index"] = torch.zeros(16, 16)
                if block % 2 and stage < len(blocks) - 1:
                    names[f"{swin}.layers.{stage}.blocks.{block}.attn_mask"] = torch.zeros(4, 16, 16)
    return names


def swins(variant: str) -> list[str]:
    return ["embedder", f"{'convnext_' if variant == 'vae' else ''}backbone.patch_embed.backbone"]


@mark.parametrize(("variant", "stored"), [("ed", 588), ("vae", 614)])
def test_the_names_of_a_released_file_become_those_of_timm_1(variant, stored):
    with torch.device("meta"):
        network = PublishedNetwork(
            variant, image_size=224, width=16, weights="random", convnext={"name": "convnext_tiny"},
            swin={"name": "swin_tiny_patch4_window7_224"},
        )  # fmt: skip
    state = network.state_dict()
    old = of_timm_0(state, swins(variant), blocks=[2, 2, 6, 2])
    assert len(old) == stored and old.keys() != state.keys()
    renamed = timm_1_names(old)
    assert {name: id(tensor) for name, tensor in renamed.items()} == {n: id(t) for n, t in state.items()}


@fixture(params=["ed", "vae"])
def variant(request) -> str:
    return request.param


@fixture
def released(variant, tmp_path) -> tuple[PublishedNetwork, dict[str, Tensor]]:
    torch.manual_seed(3)
    network = published(variant)
    return network, of_timm_0(network.state_dict(), swins(variant), blocks=[2, 2, 2, 2])


@mark.parametrize("layout", ["plain", "nested", "timm 1"])
def test_weights_load_from_a_file_and_from_a_snapshot_folder(variant, released, tmp_path, layout):
    network, old = released
    file = tmp_path / f"genconvit_{variant}_inference.pth"
    state = network.state_dict() if layout == "timm 1" else old
    torch.save({"state_dict": state, "epoch": 3} if layout == "nested" else state, file)
    for weights in (file, tmp_path):
        loaded = published(variant, weights=str(weights)).state_dict()
        assert all(torch.equal(loaded[name], tensor) for name, tensor in network.state_dict().items())


def test_what_does_not_fit_is_refused(variant, released, tmp_path):
    _, old = released
    with raises(SettingError) as refused:
        published(variant, weights=str(tmp_path))
    assert refused.value.key == "weights" and released_requirement(str(tmp_path)).problem
    file = tmp_path / f"genconvit_{variant}_inference.pth"
    torch.save({name: tensor for name, tensor in old.items() if name != "fc.bias"}, file)
    with raises(UserError, match=r"fc\.bias"):
        published(variant, weights=str(tmp_path))
    other = tmp_path / f"genconvit_{'vae' if variant == 'ed' else 'ed'}_inference.pth"
    torch.save(old, other)
    assert released_requirement(str(tmp_path)).problem == ""
