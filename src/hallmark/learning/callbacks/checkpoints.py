"""How Lightning's checkpoints reach the disk and come back, whatever the strategy."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO

from hallmark.features.store import tensors_digest
from hallmark.learning.encoders.weights import safe_load
from hallmark.storage.files import atomic_path
from hallmark.storage.hashing import digest, digest_file


def checkpoint_hashes(path: Path) -> dict[str, str]:
    """Hashes by which weights are known again: `tensors` (names, shapes, types and values of all weights, frozen
    encoders by their own hash), and `file`, which is compared without torch.

    Raises:
        UserError: the file is damaged, or holds more than tensors and plain containers.
    """
    saved = safe_load(path)
    state = {name: value for name, value in saved["state_dict"].items() if isinstance(value, torch.Tensor)}
    tensors = digest([tensors_digest(state), saved.get("frozen_encoders")])
    return {"tensors": tensors, "file": digest_file(path)}


class AtomicCheckpointIO(CheckpointIO):
    """Writes a checkpoint beside its target, flushes it and renames it, so that the one before stays until then.

    Lightning's own way leads through the system's temporary folder. Where that is another file system, a process that
    is killed leaves half a file in place of the checkpoint before.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                if isinstance(error.__context__, OSError):  # torch ends a file that it could not write by another error
                    raise error.__context__ from error
                raise

    def load_checkpoint(self, path: Any, map_location: Any | None = None, weights_only: bool | None = None) -> Any:
        """The checkpoint on the CPU.

        Raises:
            ValueError: it is damaged, or holds more than tensors and plain containers.
        """
        return safe_load(Path(path))

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)
