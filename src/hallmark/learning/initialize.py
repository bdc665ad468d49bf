"""Start a module from another run's weights."""

from pathlib import Path

from torch import nn

from hallmark.learning.encoders.weights import safe_load

_LEAST_SHARE = 0.1  # of the numbers of either model; heads of other tasks often share a bias by chance


def initialize_from(module: nn.Module, checkpoint: Path) -> list[str]:
    """Copy every tensor whose name and shape `module` shares with `checkpoint`; gives their names.

    Raises:
        ValueError: less than a tenth of the numbers of either fits the other, or the file is not a safe checkpoint.
    """
    saved = safe_load(checkpoint)["state_dict"]
    parameters = dict(module.named_parameters())
    state = module.state_dict()
    fitting = {name: value for name, value in saved.items() if name in state and state[name].shape == value.shape}
    copied = sum(value.numel() for name, value in fitting.items() if name in parameters)
    sizes = [sum(value.numel() for value in tensors.values()) for tensors in (parameters, saved)]
    if not copied or copied < _LEAST_SHARE * min(sizes):
        raise ValueError(
            f"init_from: {checkpoint} shares {copied:,} of its {sizes[1]:,} numbers with the {sizes[0]:,} of this "
            f"model; expected at least {_LEAST_SHARE:.0%} of either, from the same layers of the same sizes"
        )
    module.load_state_dict(fitting, strict=False)
    return sorted(fitting)
