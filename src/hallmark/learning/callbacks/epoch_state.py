"""What an epoch has logged and counted so far, kept by a checkpoint that is written within it."""

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torchmetrics import Metric

from hallmark.learning.ranks import of_all_ranks

_LOGGED = ("prog_bar", "logger", "on_step", "on_epoch", "add_dataloader_idx", "metric_attribute")
_SUMS = ("value", "cumulated_batch_size")


class EpochState(Callback):
    """Values logged with `on_epoch=True` and states of metrics go on where a stop within an epoch left them.

    Lightning starts them anew, so that the epoch's mean would be one of the steps after the stop.
    """

    def __init__(self) -> None:
        self._logged: dict[str, dict[str, Any]] = {}

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        within = not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        metrics = {
            name: {"states": dict(metric.metric_state), "updates": metric.update_count}
            for name, metric in module.named_modules()
            if isinstance(metric, Metric) and metric.update_called
        }
        state = {"logged": _logged(trainer), "metrics": metrics} if within else None
        checkpoint["epoch_state"] = of_all_ranks([state])

    def on_load_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        (state,) = checkpoint["epoch_state"][trainer.global_rank]
        if state is None:
            return
        self._logged = state["logged"]
        for name, saved in state["metrics"].items():
            metric = module.get_submodule(name)
            assert isinstance(metric, Metric)
            for key, value in saved["states"].items():
                is_list = isinstance(value, list)
                moved = [tensor.to(module.device) for tensor in (value if is_list else [value])]
                setattr(metric, key, moved if is_list else moved[0])
            metric._update_count, metric._computed = saved["updates"], None

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        # Not before, because what the first step of a fit logs replaces what was there.
        results = trainer.fit_loop.epoch_loop._results
        for key, entry in self._logged.items():
            if key in results:
                if results[key].is_tensor:
                    _add(results[key], entry, module.device)
            else:
                attribute = entry["settings"]["metric_attribute"]
                value = entry["value"] if attribute is None else module.get_submodule(attribute)
                sync = {"sync_dist": entry["sync"], "sync_dist_fn": trainer.strategy.reduce}
                # Of batch size 0, so that nothing is counted twice; the sums themselves are set below.
                results.log(
                    entry["fx"], entry["name"], value, reduce_fx=entry["reduction"], batch_size=0,
                    rank_zero_only=entry["rank_zero_only"], **entry["settings"], **sync,
                )  # fmt: skip
                if results[key].is_tensor:
                    for name in _SUMS:
                        if entry[name] is not None:
                            setattr(results[key], name, entry[name].to(module.device))
        self._logged = {}


def _logged(trainer: Trainer) -> dict[str, dict[str, Any]]:
    """What `module.log` has summed up in this epoch, by Lightning's key, as plain containers."""
    return {
        key: {
            "fx": result.meta.fx,
            "name": result.meta.name,
            "reduction": result.meta.reduce_fx.__name__,
            "sync": result.meta.sync.should,
            "rank_zero_only": result.meta.sync.rank_zero_only,
            "settings": {name: getattr(result.meta, name) for name in _LOGGED},
            **({name: getattr(result, name, None) for name in _SUMS} if result.is_tensor else {"value": None}),
        }
        for key, result in trainer.fit_loop.epoch_loop._results.items()
        if result.meta.on_epoch and not result.has_reset
    }


def _add(result: Any, entry: dict[str, Any], device: torch.device) -> None:
    """Join the sums before the stop with those of the steps since."""
    before = entry["value"].to(device)
    if result.meta.is_max_reduction or result.meta.is_min_reduction:
        result.value = result.meta.reduce_fx(result.value, before)
    else:
        result.value = before + result.value
    if result.meta.is_mean_reduction:
        result.cumulated_batch_size = entry["cumulated_batch_size"].to(device) + result.cumulated_batch_size
    result._computed = None
