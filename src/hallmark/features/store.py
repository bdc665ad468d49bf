"""Outputs of frozen encoders, computed once for all trials, folds, seeds and analyses."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hallmark.checks import require
from hallmark.storage.arrays import ArrayStore
from hallmark.storage.hashing import digest, digest_bytes

# Plain attributes of layers that change no output in evaluation.
_STATES = frozenset({"training", "frozen", "name_or_path", "gradient_checkpointing", "grad_checkpointing"})


class FeatureStore:
    """Embeddings by encoder weights, preprocessing, dtype and sample content.

    Args:
        folder: root of the store, shared by all runs.
        batch_size: samples in one forward pass.
        device: where the encoder runs.
    """

    def __init__(self, folder: Path | str, batch_size: int, device: str) -> None:
        require(batch_size >= 1, "batch_size", batch_size, "at least 1")
        self.folder, self.batch_size, self.device = Path(folder), batch_size, device

    def features(self, encoder: nn.Module, content: Sequence[str], load: Callable[[Sequence[int]], Any]) -> Tensor:
        """Embeddings float32 [N, D] for samples whose content hashes are `content`.

        `load(positions)` gives the encoder's input for those that are not stored yet.
        """
        store = ArrayStore(self.folder / encoder_key(encoder))

        def compute(positions: Sequence[int]) -> NDArray:
            batches = (positions[s : s + self.batch_size] for s in range(0, len(positions), self.batch_size))
            encoder.to(self.device).eval()
            outputs = []
            for batch in batches:
                inputs = load(batch)
                if isinstance(inputs, Tensor):
                    inputs = inputs.to(self.device)
                else:
                    inputs = {name: tensor.to(self.device) for name, tensor in inputs.items()}
                with torch.inference_mode():
                    outputs.append(encoder(inputs).float().cpu().numpy())
            return np.concatenate(outputs)

        return torch.from_numpy(store.rows(content, compute).take(range(len(content))))


def encoder_key(encoder: nn.Module) -> str:
    """Folder name for one encoder: hash of its class, layers, weights, dtype and preprocessing.

    The layers as torch prints them tell apart what equal weights do not: activations, padding. So do the plain
    attributes of the layers, such as the kind of pooling.
    """
    attributes = {
        name: {
            key: value
            for key, value in vars(layer).items()
            if not key.startswith("_") and key not in _STATES and isinstance(value, str | int | float | None)
        }
        for name, layer in encoder.named_modules()
    }
    return digest({
        "kind": f"{type(encoder).__module__}.{type(encoder).__qualname__}", "layers": repr(encoder),
        "attributes": attributes, "weights": weights_digest(encoder),
        "preprocessing": dict(encoder.preprocessing),  # type: ignore[arg-type]
    })  # fmt: skip


def weights_digest(module: nn.Module) -> str:
    """Hash of names, shapes, dtypes and bytes of a module's parameters and buffers.

    Taken once for a module that says it is `frozen`, as long as nothing writes to its tensors: hashing a large
    encoder costs a second.
    """
    if not getattr(module, "frozen", False):
        return tensors_digest(module.state_dict())
    written = [(tensor.data_ptr(), tensor._version) for tensor in module.state_dict(keep_vars=True).values()]
    if module not in _FROZEN_DIGESTS or _FROZEN_DIGESTS[module][0] != written:
        _FROZEN_DIGESTS[module] = written, tensors_digest(module.state_dict())
    return _FROZEN_DIGESTS[module][1]


_FROZEN_DIGESTS: WeakKeyDictionary[nn.Module, tuple[list[tuple[int, int]], str]] = WeakKeyDictionary()


def tensors_digest(state: Mapping[str, Tensor]) -> str:
    """Hash of names, shapes, dtypes and bytes of named tensors, in whatever order and on whatever device they are."""
    blocks: list[bytes] = []
    for name, tensor in sorted(state.items()):
        blocks.append(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        blocks.append(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest_bytes(*blocks)
