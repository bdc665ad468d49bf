"""Whether this machine has the devices, and the data the batches, that `trainer` asks for."""

import os
from typing import Any

import torch
from lightning.pytorch.accelerators import AcceleratorRegistry
from omegaconf import DictConfig, OmegaConf

from hallmark.checks import require
from hallmark.data.module import DataModule
from hallmark.engine.config.symbolic import plain
from hallmark.engine.distributed.torchrun import started_by_torchrun

_ANY = ("auto", "gpu")  # what Lightning chooses a kind of accelerator for


def check_devices(trainer: DictConfig) -> None:
    """See that `trainer.accelerator`, `trainer.devices` and `trainer.num_nodes` name what is here.

    Raises:
        SettingError: an accelerator that is unknown or not here, more devices than there are, or other nodes than
            torchrun has started the command on.
    """
    nodes = int(os.environ["GROUP_WORLD_SIZE"]) if started_by_torchrun() else 1
    several = f"{nodes}, the nodes that this command runs on; torchrun starts it on several"
    require(trainer.get("num_nodes", 1) == nodes, "trainer.num_nodes", trainer.get("num_nodes", 1), several)
    accelerator, devices = trainer.get("accelerator", "auto"), trainer.get("devices", "auto")
    names = sorted(AcceleratorRegistry.available_accelerators())
    present = [name for name in names if AcceleratorRegistry[name]["accelerator"].is_available()]
    known = (*_ANY, *names)
    expected = f"auto or one of {', '.join(present)}, which this machine has"
    require(accelerator in known, "trainer.accelerator", accelerator, expected)
    gpus = [name for name in present if name in ("cuda", "mps")]
    available = accelerator == "auto" or (bool(gpus) if accelerator == "gpu" else accelerator in present)
    require(available, "trainer.accelerator", accelerator, expected)
    chosen = accelerator if accelerator not in _ANY else next(iter(gpus), "cpu")
    if chosen == "cuda":
        count, wanted = torch.cuda.device_count(), _numbers(devices)
        require(max(wanted, default=0) < count, "trainer.devices", plain(devices), f"at most the {count} GPUs here")


def check_limits(trainer: DictConfig, data: DataModule, world_size: int) -> None:
    """See that a share of the batches of an epoch is one batch at least, in each of `world_size` processes.

    Raises:
        SettingError: it is none.
    """
    batch = data.batch_size * world_size
    for split, key, loader, batches in (
        ("train", "limit_train_batches", "train_dataloader", len(data.rows("train")) // batch),
        ("val", "limit_val_batches", "val_dataloader", -(-len(data.rows("val")) // (4 * batch))),
    ):
        limit, standard = trainer.get(key), getattr(type(data), loader) is getattr(DataModule, loader)
        if standard and isinstance(limit, float):
            expected = f"at least {1 / batches:.3g}, one of the {batches} {split} batches"
            require(int(batches * limit) >= 1, f"trainer.{key}", limit, expected)


def _numbers(devices: Any) -> list[int]:
    """The numbers of the devices that `devices` asks for; [] for as many as there are."""
    if OmegaConf.is_list(devices):
        return [int(number) for number in devices]
    text = str(devices)
    return list(range(int(text))) if text.isdecimal() else []
