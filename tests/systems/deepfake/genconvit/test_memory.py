"""The memory of a step, counted against what autograd really keeps."""

import torch
from torch import nn

from hallmark.systems.deepfake.genconvit.memory import step_bytes

from .sizes import described


def test_bytes_of_a_small_network_by_hand():
    network = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 3))
    parameters = 10 * 20 + 20 + 20 * 3 + 3
    # A linear layer keeps its input, a ReLU its output, which is the input of the next layer.
    assert step_bytes(network, (torch.zeros(1, 10),), 16) == (16 * parameters, 16 * 4 * (10 + 20))


def test_bytes_of_a_network_are_those_that_a_real_pass_keeps():
    network = described("vae").train()
    pixels = torch.zeros(4, 3, 64, 64, dtype=torch.uint8)
    parameters = {tensor.untyped_storage().data_ptr() for tensor in [*network.parameters(), *network.buffers()]}
    saved: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in parameters:
            saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    torch.manual_seed(0)
    before = torch.get_rng_state()
    _, activations = step_bytes(network, (pixels[:1],), 4)
    assert torch.equal(torch.get_rng_state(), before)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = network(pixels).sum()
    real = sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
    assert loss.requires_grad and abs(activations - real) < 0.1 * real
