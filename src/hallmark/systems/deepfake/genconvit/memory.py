"""The memory of a training step, counted before there is one."""

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call

_BYTES_PER_PARAMETER = 12
"""Of a trained one beside itself: its gradient and Adam's two moments in float32."""


def step_bytes(network: nn.Module, arguments: tuple[Tensor, ...], batch_size: int) -> tuple[int, int]:
    """Bytes that a step needs for parameters, gradients and Adam, and for what the backward pass reads, in float32.

    The forward pass of one row is counted on torch's meta device, which computes shapes alone: no memory, no time, no
    random number. What a device's libraries take beside that is not in it.

    Args:
        arguments: of `network`, with one row.
        batch_size: rows of the step.
    """
    # A module that stands under two names is entered by one of them: of two, `functional_call` would not restore it.
    tensors = {
        ".".join(filter(None, (prefix, name))): tensor
        for prefix, module in network.named_modules()
        for name, tensor in [
            *module.named_parameters(recurse=False, remove_duplicate=False),
            *module.named_buffers(recurse=False, remove_duplicate=False),
        ]
    }
    different = {id(tensor): tensor for tensor in tensors.values()}
    trained = sum(parameter.numel() for parameter in network.parameters())
    fixed = sum(tensor.numel() * tensor.element_size() for tensor in different.values())
    on_meta = {
        key: torch.empty_like(tensor, device="meta").requires_grad_(isinstance(tensor, nn.Parameter))
        for key, tensor in different.items()
    }
    meta = {name: on_meta[id(tensor)] for name, tensor in tensors.items()}
    parts = {tensor.untyped_storage()._cdata for tensor in meta.values()}
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if (storage := tensor.untyped_storage()._cdata) not in parts:
            saved[storage] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        functional_call(network, meta, tuple(argument.to("meta") for argument in arguments), tie_weights=False)
    activations = sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
    return fixed + _BYTES_PER_PARAMETER * trained, batch_size * activations
