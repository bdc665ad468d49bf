"""Runs that are made again without some of their training rows, for predictions of rows that no model has seen."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from hallmark.engine.config.parents import key_of
from hallmark.engine.job import Job
from hallmark.engine.parents import inherited
from hallmark.engine.train import train
from hallmark.runs.metrics import OUT_OF_FOLD
from hallmark.runs.parents import INIT_FROM, Parent
from hallmark.runs.run import Run


def refit_fold(job: Job, *, fold: int, folds: int, rows: Collection[str], content: str | None) -> Run:
    """The run of `job` made again without fold `fold` of its training rows, in `<run>/out_of_fold`.

    A parent that was fitted on any of these rows is made again without that fold as well. An interrupted refit goes on.

    Args:
        rows: content of the training rows of `job`; content: fingerprint of all of its rows, whatever their split.

    Raises:
        ValueError: a parent cannot be made again; the message says what can be done.
    """
    split = {
        "_target_": "hallmark.data.splits.InnerFold", "folds": folds, "fold": fold, "seed": job.config.seed,
        "outer": OmegaConf.to_container(job.stored.data.split),
    }  # fmt: skip
    name, folder = f"{fold + 1}-of-{folds}", job.directory / OUT_OF_FOLD
    return _refit(job, split, folder / name, folder / "parents" / name, rows, content)


def _refit(
    job: Job, split: dict[str, Any], directory: Path, beside: Path, rows: Collection[str], content: str | None
) -> Run:  # fmt: skip
    config = job.stored.copy()
    OmegaConf.set_struct(config, False)
    config.data.split = split
    config.paths.run_dir = str(directory)
    config.rerun, config.logger = False, None
    trust = job.trust
    config.trusted_packages, config.trusted_paths, config.trusted_hosts = map(
        list, (trust.packages, trust.paths, trust.hosts)
    )
    config[INIT_FROM], config.parents = None, {}
    record = job.run.record
    for role in record.parents.keys() - job.parents.keys():
        raise ValueError(
            f"{key_of(role)}: {record.parents[role].get('source')} is no finished run any more, and a refit begins "
            "with it as the run did; an earlier version of Hallmark kept no copy"
        )
    for role, parent in job.parents.items():
        above = [each for each in inherited(job) if each.name.split("/")[0] == role]
        unknown = any(
            # Rows that another class has read are never equal, whatever they show.
            each.rows is None or not (each.comparable or any(row in rows for _, row, _ in each.rows))
            for each in above
        )
        seen = {row for each in above for _, row, of in each.rows or () if of in each.fitted_on}.intersection(rows)
        if not unknown and not seen:
            config.parents[role] = str(parent.directory)
            continue
        _check_again(role, parent, len(seen), content)
        remade = Job.reopened(Run(parent.directory), trust)
        remade.stored.paths = job.stored.paths
        config.parents[role] = str(
            _refit(remade, split, beside / role, beside / f"{role}-parents", rows, content).directory
        )
    train(config)
    return Run(directory)


def _check_again(role: str, parent: Parent, n_rows: int, content: str | None) -> None:
    """Raise ValueError unless the parent can be made again on the rows of its child."""
    if parent.record.data.get("content") == content is not None:
        return
    what = f"was fitted on {n_rows} of the training rows" if n_rows else "may have been fitted on training rows"
    raise ValueError(
        f"{key_of(role)}: {parent.name}/{parent.run_id} {what}, and its data are not the data of this run, so that it "
        "cannot be made again without the rows of a fold. Predictions out of fold need a parent that was made on the "
        "data and split of this run, or on none of its training rows"
    )
