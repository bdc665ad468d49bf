"""Where a network runs."""

import os
from typing import Any

import torch


def chosen_device(name: str = "auto") -> str:
    """torch's name of a device; `auto` is a GPU if there is one."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def ask_for_gpus_without_nvml() -> None:
    """Where there is no GPU, let torch see that without opening NVIDIA's library.

    Each step of an optimizer asks whether there is one. Lightning has that answered through NVML
    (`PYTORCH_NVML_BASED_CUDA_CHECK`), for the sake of processes that fork before they use a GPU.
    """
    if not torch.cuda.is_available():
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"


def device_name() -> str:
    return f"cuda ({torch.cuda.get_device_name()})" if torch.cuda.is_available() else "cpu"


def device_facts() -> dict[str, Any]:
    """Device and driver for the record."""
    facts: dict[str, Any] = {"device": device_name(), "threads": torch.get_num_threads()}
    if torch.cuda.is_available():
        facts |= {"cuda": torch.version.cuda, "capability": list(torch.cuda.get_device_capability())}
    return facts
