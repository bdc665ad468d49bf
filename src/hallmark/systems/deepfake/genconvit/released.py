"""The weights that the authors released: a snapshot of Deressa/GenConViT, written with timm 0.6.5."""

import re
from pathlib import Path

from torch import Tensor, nn

from hallmark.checks import SettingError
from hallmark.learning.encoders.weights import load_exactly, local_path, read_state_dict
from hallmark.storage.requirements import Requirement

_EXPECTED = (
    "pretrained, random, or the released weights: the folder of a snapshot "
    "(`hf download Deressa/GenConViT --local-dir FOLDER`) or a file of it"
)
_SWIN = re.compile(r"^(embedder|(?:convnext_)?backbone\.patch_embed\.backbone)\.(.+)$")
_DOWNSAMPLE = re.compile(r"^layers\.(\d+)\.downsample\.")
_NO_WEIGHTS = ("attn.relative_position_index", "attn_mask")  # timm 1 computes them


def load_released(network: nn.Module, weights: str, variant: str) -> None:
    """Load the released weights of `variant` into a network of their layout; all tensors must be there.

    Args:
        weights: a file, or a snapshot folder.

    Raises:
        SettingError: no such file or folder, or no file of this variant in it.
        UserError: damaged, or of another layout.
    """
    path = _released_file(weights, variant)
    load_exactly(network.load_state_dict, timm_1_names(read_state_dict(path)), path)


def released_requirement(weights: str) -> Requirement:
    """For `hallmark doctor`: a file, or a folder with the files of both variants."""
    text = f"GenConViT's released weights ({weights})"
    for variant in ("ed", "vae"):
        try:
            _released_file(weights, variant)
        except ValueError as error:
            return Requirement(text, str(error), _EXPECTED)
    return Requirement(text)


def _released_file(weights: str, variant: str) -> Path:
    path = local_path(weights)
    if path is None:
        raise SettingError("weights", weights, _EXPECTED)
    if path.is_file():
        return path
    name = f"genconvit_{variant}_inference.pth"
    if not (path / name).is_file():
        raise SettingError("weights", weights, f"a folder with {name}; this one has no such file")
    return path / name


def timm_1_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict by the names of timm 1; one that has them already stays as it is.

    timm 0.6.5 has Swin's downsampling at the end of a stage, and timm 1 at the start of the next; its head is a layer
    of its own; and tensors that follow from the sizes are stored.
    """
    if "embedder.head.weight" not in state:
        return state
    return {new: tensor for name, tensor in state.items() if (new := _timm_1_name(name)) is not None}


def _timm_1_name(name: str) -> str | None:
    swin = _SWIN.match(name)
    if swin is None:
        return name
    prefix, inner = swin.groups()
    if inner.endswith(_NO_WEIGHTS):
        return None
    inner = _DOWNSAMPLE.sub(lambda match: f"layers.{int(match[1]) + 1}.downsample.", inner)
    return f"{prefix}.{re.sub(r'^head[.](?=weight|bias)', 'head.fc.', inner)}"
