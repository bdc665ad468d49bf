"""What a module gives of batches while it is in evaluation mode."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hallmark.learning.device import chosen_device
from hallmark.learning.module import Batch


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, and then each part in its mode before."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def evaluated(module: nn.Module, batches: Iterable[Batch], function: Callable[[Batch], Tensor]) -> list[NDArray]:
    """What `function` gives of each batch, `module` in evaluation mode and both on the device that there is.

    The module stays on that device.
    """
    device = torch.device(chosen_device())
    module.to(device)
    values = []
    with evaluating(module), torch.inference_mode():
        for batch in batches:
            on_device = {
                name: value.to(device) if isinstance(value, Tensor) else value for name, value in batch.items()
            }
            values.append(function(on_device).cpu().numpy())
    return values
