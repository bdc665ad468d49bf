"""Arguments of classes of other packages: names and types from their constructors, ranges from here.

Hallmark's own constructors check what they are given. Others often do so late, in the middle of a fit, without the
name of the setting, or not at all.
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hallmark.checks import SettingError, check_type, require
from hallmark.wording import did_you_mean

Range = tuple[Callable[[Any], bool], str]
"""Whether a value is in range, and what would be."""

_AT_LEAST_0: Range = (lambda value: value >= 0, "at least 0")
_AT_LEAST_1: Range = (lambda value: value >= 1, "at least 1")
_OR_NONE_AT_LEAST_1: Range = (lambda value: value is None or value >= 1, "at least 1, or null")
_SHARE: Range = (
    lambda value: value is None or (value >= 1 if isinstance(value, int) else 0 < value <= 1),
    "a share in (0, 1] such as 0.5, or a number of batches from 1",
)
_PROFILERS = (None, "simple", "advanced", "pytorch", "xla")


def _only(value: Any, why: str) -> Range:
    return (lambda candidate: candidate == value and type(candidate) is type(value)), f"{str(value).lower()}: {why}"


_TRAINER: dict[str, Range] = {
    "max_epochs": (lambda value: value is not None and value >= 1, "at least 1"),
    "min_epochs": _OR_NONE_AT_LEAST_1,
    "max_steps": (lambda value: value == -1 or value >= 1, "at least 1, or -1 for no limit"),
    "min_steps": _OR_NONE_AT_LEAST_1,
    "devices": (lambda value: _are_devices(value), "a number of devices from 1, a list of their numbers, or auto"),
    "num_nodes": _AT_LEAST_1,
    "limit_train_batches": _SHARE,
    "limit_val_batches": _SHARE,
    "limit_predict_batches": _only(1.0, "every row is predicted"),
    "overfit_batches": (lambda value: value == 0, "0; debug=overfit fits a few batches"),
    "fast_dev_run": _only(False, "debug=fast is a short fit"),
    "val_check_interval": _only(1.0, "the checkpoint is selected once an epoch"),
    "check_val_every_n_epoch": _only(1, "the checkpoint is selected once an epoch"),
    "num_sanity_val_steps": (lambda value: value is None or value >= -1, "at least 0, or -1 for all"),
    "log_every_n_steps": (lambda value: value is None or value >= 1, "at least 1"),
    "enable_checkpointing": (lambda value: value is not False, "true; a run goes on from its checkpoints"),
    "accumulate_grad_batches": _AT_LEAST_1,
    "gradient_clip_val": (lambda value: value is None or value >= 0, "at least 0, or null"),
    "gradient_clip_algorithm": (lambda value: value in (None, "norm", "value"), "norm or value"),
    "profiler": (lambda value: value in _PROFILERS, "simple, advanced, pytorch or null"),
    "barebones": _only(False, "a run keeps checkpoints and logs"),
    "reload_dataloaders_every_n_epochs": _only(0, "every epoch has the same loaders"),
    **{
        name: (lambda value: False, "no such key: Hallmark gives this argument itself")
        for name in ("callbacks", "logger", "plugins", "use_distributed_sampler")
    },
}
_RANGES: Mapping[str, Mapping[str, Range]] = {
    "lightning.pytorch.trainer.trainer.Trainer": _TRAINER,
    "lightning.pytorch.callbacks.early_stopping.EarlyStopping": {
        "patience": _AT_LEAST_0,
        "min_delta": _AT_LEAST_0,
        "mode": (lambda value: value in ("min", "max"), "min or max"),
    },
    "lightning.pytorch.callbacks.progress.rich_progress.RichProgressBar": {"refresh_rate": _AT_LEAST_0},
    "optuna.pruners._median.MedianPruner": {
        "n_startup_trials": _AT_LEAST_0,
        "n_warmup_steps": _AT_LEAST_0,
        "interval_steps": _AT_LEAST_1,
        "n_min_trials": _AT_LEAST_1,
    },
    "optuna.pruners._percentile.PercentilePruner": {
        "percentile": (lambda value: 0 <= value <= 100, "between 0 and 100"),
        "n_startup_trials": _AT_LEAST_0,
        "n_warmup_steps": _AT_LEAST_0,
        "interval_steps": _AT_LEAST_1,
        "n_min_trials": _AT_LEAST_1,
    },
}


def check_foreign(built: type, node: DictConfig) -> None:
    """Compare the plain values of `node` with what the constructor of `built` takes.

    Raises:
        SettingError: no such argument, or a value of another type or out of range; the key is its whole path.
    """
    parameters = inspect.signature(built).parameters
    names = [name for name, each in parameters.items() if each.kind is not each.VAR_KEYWORD]
    ranges = _RANGES.get(f"{built.__module__}.{built.__qualname__}", {})
    for name, value in node.items():
        if (key := str(name)).startswith("_") and key.endswith("_"):
            continue
        path = f"{node._get_full_key('')}.{key}".removeprefix(".")
        plain: Any = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        if len(names) == len(parameters) and key not in names:
            raise SettingError(path, plain, f"no such argument of {built.__qualname__}{did_you_mean(key, names)}")
        if key in parameters and not _holds_nodes(plain):
            text = str(parameters[key].annotation)
            # YAML has no tuples: a list stands for one where one is asked for.
            argument = plain
            if isinstance(plain, list) and "tuple[" in text.lower() and "list[" not in text:
                argument = tuple(plain)
            check_type(_hint(built, parameters[key].annotation), path, argument)
        if key in ranges:
            allowed, expected = ranges[key]
            require(allowed(plain), path, plain, expected)


def _hint(built: type, annotation: Any) -> Any:
    """The type that `annotation` means; Any where its own module does not say."""
    if isinstance(annotation, str):
        with suppress(Exception):  # names that are imported for type checkers only
            return eval(annotation, vars(sys.modules[built.__module__]))
        return Any
    return Any if annotation is inspect.Parameter.empty else annotation


def _holds_nodes(plain: Any) -> bool:
    if isinstance(plain, dict):
        return "_target_" in plain or any(map(_holds_nodes, plain.values()))
    return isinstance(plain, list) and any(map(_holds_nodes, plain))


def _are_devices(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) == len(set(value)) > 0 and all(number >= 0 for number in value)
    if isinstance(value, str):
        return value == "auto" or (value.isdecimal() and int(value) >= 1)
    return value >= 1 or value == -1
