"""Start a module from another run's weights."""

from pathlib import Path

from torch import nn

from hallmark.learning.encoders.weights import safe_load


def initialize_from(module: nn.Module, checkpoint: Path) -> list[str]:
    """Copy every tensor whose name and shape `module` shares with `checkpoint`; gives their names.

    Raises:
        ValueError: nothing fits, or the file is not a safe checkpoint.
    """
    saved = safe_load(checkpoint)["state_dict"]
    parameters = module.state_dict()
    fitting = {
        name: value for name, value in saved.items() if name in parameters and parameters[name].shape == value.shape
    }
    if not any(name in fitting for name, _ in module.named_parameters()):
        raise ValueError(f"init_from: {checkpoint} shares no parameter with this model; its head must be the same")
    module.load_state_dict(fitting, strict=False)
    return sorted(fitting)
