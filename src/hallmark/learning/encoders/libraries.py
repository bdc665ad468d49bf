"""timm and open_clip, imported without wandb.

timm imports wandb where it is installed, for the log of its own training script, and waits for it longer than for all
the rest of timm.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _not_installed(package: str) -> Iterator[None]:
    """Inside the block an import of `package` fails, unless it was imported before."""
    hidden = package not in sys.modules
    if hidden:
        sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules[package]


with _not_installed("wandb"):
    import open_clip
    import timm

__all__ = ["open_clip", "timm"]
