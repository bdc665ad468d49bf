"""The metrics that may steer a fit: those that the module logs on the validation rows, and no others."""

from omegaconf import DictConfig

from hallmark.checks import require
from hallmark.data.module import DataModule
from hallmark.learning.module import PredictingModule, TrainableModule, TrainingFreeModule
from hallmark.runs.metrics import MAIN
from hallmark.statistics.metrics import has_direction, lower_is_better
from hallmark.statistics.metrics.classification import CLASSIFICATION_METRICS
from hallmark.wording import did_you_mean


def check_monitor(config: DictConfig, module: TrainableModule) -> None:
    """See that what `monitor` and the callbacks watch will be there.

    Raises:
        SettingError: a metric that the module does not log on validation rows or that has no direction, or no mode
            that fits it.
    """
    known = sorted(module.validation_metrics)
    watched = {"monitor.metric": config.monitor.metric} | {
        f"callbacks.{name}.monitor": node.monitor
        for name, node in config.callbacks.items()
        if node is not None and "monitor" in node
    }
    for key, metric in watched.items():
        check_direction(key, str(metric))
        require(metric in known, key, metric, _expected(str(metric), known))
    check_mode("monitor.mode", config.monitor.mode, config.monitor.metric)


def check_mode(key: str, mode: str, metric: str) -> None:
    """Raise `SettingError` unless `mode` is min or max, and min where less of `metric` is better."""
    require(mode in ("min", "max"), key, mode, "min or max")
    require(mode == "min" or not lower_is_better(metric), key, mode, f"min: less of {metric} is better")


def check_direction(key: str, metric: str) -> None:
    """Raise `SettingError` for what is best at neither end."""
    require(has_direction(metric), key, metric, "a metric of which more or less is better")


def check_measured(key: str, metric: str, module: PredictingModule, data: DataModule) -> None:
    """See that `metric` will stand among the measurements of the validation rows, as far as that is known before.

    Raises:
        SettingError: it will not, or it has no direction; `key` is where it is named.
    """
    check_direction(key, metric)
    known = measured_metrics(module, data)
    require(not known or metric in known, key, metric, _expected(metric, sorted(known)))


def measured_metrics(module: PredictingModule, data: DataModule) -> set[str]:
    """Names of the metrics of the validation rows; empty where only the predictions will tell."""
    if isinstance(module, TrainingFreeModule):
        tasks = {task: list(names) for task, names in module.measured.items()}
    elif type(module).table is PredictingModule.table:
        tasks = {task: list(CLASSIFICATION_METRICS) for task in data.classes}
    else:
        return set()
    means = set.intersection(*map(set, tasks.values())) if tasks and MAIN not in tasks else set(tasks.get(MAIN, []))
    each = {f"val/{task}/{name}" for task, names in tasks.items() for name in names}
    return each | {f"val/{name}" for name in means}


def _expected(metric: str, known: list[str]) -> str:
    why = " (test rows are for the last measurement, never for a choice)" if metric.startswith("test/") else ""
    return f"a validation metric{why}: {', '.join(known)}{did_you_mean(metric, known)}"
