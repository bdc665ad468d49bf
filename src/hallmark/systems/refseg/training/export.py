"""The weights of a finished run as a file that proposers and encoders load.

python -m hallmark.systems.refseg.training.export outputs/refseg_train_encoder/<run id> dual_encoder.safetensors
"""

import sys
from pathlib import Path

from safetensors.torch import save_file

from hallmark.learning.encoders.weights import TRAINED_ON, safe_load, trained_on
from hallmark.runs.run import open_run
from hallmark.storage.hashing import digest_file

_NETWORKS = ("head.network.", "head.")


def export(run: str, file: Path) -> None:
    """Write the network of the checkpoint that `run`, a directory, selected, and what generated data it knows."""
    checkpoint = open_run(run).best
    state, origin = safe_load(checkpoint)["state_dict"], trained_on(checkpoint)
    prefix = next(name_prefix for name_prefix in _NETWORKS if any(name.startswith(name_prefix) for name in state))
    tensors = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    metadata = {TRAINED_ON: origin} if origin else None
    save_file({name: value.contiguous() for name, value in tensors.items()}, file, metadata)


if __name__ == "__main__":
    written = Path(sys.argv[2])
    export(sys.argv[1], written)
    print(f"{written}: {written.stat().st_size / 1e6:.1f} MB, BLAKE2b {digest_file(written)}")
