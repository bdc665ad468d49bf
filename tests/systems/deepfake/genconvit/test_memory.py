"""The memory of a step, counted against what autograd really keeps."""

import weakref
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from hallmark.systems.deepfake.genconvit.memory import step_bytes

from ..members import frames, genconvit
from .sizes import described, published


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive inside of it, `given` ones included."""

    def __init__(self, given: list[torch.Tensor]) -> None:
        super().__init__()
        self.bytes = self.peak = 0
        self.known: set[int] = set()
        for tensor in given:
            self.count(tensor)

    def count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self.known:
            self.known.add(key)
            self.bytes += size
            self.peak = max(self.peak, self.bytes)
            weakref.finalize(storage, self.discount, key, size)

    def discount(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.bytes -= size

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), settings: Any = None) -> Any:
        output = function(*arguments, **(settings or {}))
        for leaf in tree_leaves(output):
            if isinstance(leaf, torch.Tensor):
                self.count(leaf)
        return output


@pytest.mark.parametrize("variant", ["ed", "vae"])
@pytest.mark.parametrize("network", [described, published])
def test_what_is_stated_is_the_peak_of_a_step_that_is_taken(variant, network):
    member, batch = genconvit(variant, network, stages={"autoencoder": 0, "heads": 0}).train(), frames(16, 64)
    stated = sum(step_bytes(member.network, (batch["image"][:1],), 16))
    optimizer = torch.optim.AdamW(member.parameters())
    assert {tensor.device.type for tensor in [*member.parameters(), *member.buffers()]} == {"cpu"}
    with LiveTensors([*member.parameters(), *member.buffers()]) as live:
        for _ in range(2):  # Adam has its moments from the second step on
            optimizer.zero_grad()
            member.loss(batch).backward()
            optimizer.step()
    assert live.peak / 1.5 < stated < 1.5 * live.peak


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
