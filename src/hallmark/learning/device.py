"""Where a network runs."""

import torch


def chosen_device(name: str = "auto") -> str:
    """torch's name of a device; `auto` is a GPU if there is one."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"
