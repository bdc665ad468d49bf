"""Weights & Biases: one W&B run a job, offline without a key."""

import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import PIL.Image
from lightning.pytorch.loggers import Logger

from hallmark.checks import Interrupted
from hallmark.engine.job import Job
from hallmark.engine.loggers.content import bad_case_rows, figure_files, final_metrics, selection
from hallmark.engine.messages import echo
from hallmark.runs.run import Run
from hallmark.storage.files import write_text
from hallmark.storage.secrets import redacted

log = logging.getLogger(__name__)

BAD_CASES = "bad_cases.csv"
RELEASED = "released"
_INTERRUPTED = 143
_LAST_STEP = Path("wandb") / "last_step"
_STAGING = "WANDB_DATA_DIR"

# Not recorded: terminal output, command line and machine, git remote and diff, code, installed packages.
_PRIVATE: dict[str, Any] = {
    "console": "off",
    "x_disable_meta": True,
    "disable_git": True,
    "disable_code": True,
    "save_code": False,
    "x_save_requirements": False,
}


class Wandb:
    """Weights & Biases.

    A resumed training goes on in its W&B run; one that is made from scratch gets a new one. Evaluations and the release
    add to the W&B run of the training. The mode is that of WANDB_MODE, else offline without WANDB_API_KEY.

    Args:
        project: W&B project.
        group: what the run belongs to, such as a sweep or a set of repeats.
        tags: of the W&B run.
    """

    def __init__(self, project: str, *, group: str | None, tags: Sequence[str]) -> None:
        if find_spec("wandb") is None:
            raise ValueError("logger=wandb needs wandb: pip install 'hallmark-experiments[wandb]'")
        self.project, self.group, self.tags = project, group, tuple(tags)

    @contextmanager
    def training(self, job: Job, run: Run) -> Iterator[Logger]:
        with self._session(run, config=job.plain, job_type="train", tags=self.tags) as session:
            yield StepLogger(session)
            with _spared():
                session.summary.update({**final_metrics(run, "val"), **selection(run)})
                session.log(_images((run.directory / "figures").iterdir()), step=session.step)

    def evaluated(self, job: Job, run: Run, split: str, written: Sequence[Path]) -> None:
        with _spared(), self._session(run) as session:
            session.summary.update(final_metrics(run, split))
            path = run.directory.resolve() / _LAST_STEP
            step = int(path.read_text(encoding="utf-8")) + 1 if path.exists() else 0
            session.log({**_images(written), **_tables(written)}, step=step)

    def released(self, run: Run, archive: Path) -> None:
        """Tag the W&B run and give it `archive` as an artifact of type model.

        Offline the archive is copied beside the run's offline folder, whose synchronisation uploads it.
        """
        from wandb import Artifact

        with self._session(run, tags=(*self.tags, RELEASED)) as session:
            record = run.record
            facts = {
                "name": record.name, "run_id": record.run_id, "seed": record.seed, "selected": record.selected,
                "metrics": run.metrics, "data": record.provenance.data, "commit": record.git["commit"],
            }  # fmt: skip
            artifact = Artifact(f"{record.name}-{record.run_id}", type="model", metadata=facts)
            artifact.add_file(str(archive), skip_cache=True)
            session.log_artifact(artifact, aliases=[RELEASED])

    @contextmanager
    def _session(self, run: Run, **init: Any) -> Iterator[Any]:
        """The W&B run of `run`, opened to be written to; it ends as the block ends.

        `init` is left out where it is to stay as an earlier session said.
        """
        import wandb

        folder = run.directory.resolve()
        # The same id after a resume; another one for a run from scratch, as W&B would append to the old one.
        id_ = f"{run.record.run_id}-{re.sub('[^0-9]', '', run.record.started)[:14]}"
        mode = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
        settings = wandb.Settings(mode=mode, silent=True, **_PRIVATE)
        with _staging_in(folder / "wandb"):
            try:
                session = wandb.init(
                    project=self.project, group=self.group, dir=folder, resume="allow", reinit="create_new",
                    settings=settings, name=f"{run.record.name}-{run.record.run_id}", id=id_, **init,
                )  # fmt: skip
            except wandb.Error as error:
                raise ValueError(f"logger.wandb: {error}; WANDB_MODE=offline logs without the service") from error
            try:
                yield session
            except (Interrupted, KeyboardInterrupt):
                session.mark_preempting()  # W&B calls a run preempted that says so and ends with a code other than 0
                _finish(session, folder, _INTERRUPTED)
                raise
            except BaseException:
                _finish(session, folder, 1)
                raise
            else:
                _finish(session, folder, 0)


class StepLogger(Logger):
    """Lightning's metrics at their global step.

    The step is given and not counted by W&B, so that the offline folders of a resumed run, synchronised one after
    the other, make one history.
    """

    def __init__(self, session: Any) -> None:
        super().__init__()
        self.session = session

    @property
    def name(self) -> str:
        return str(self.session.project)

    @property
    def version(self) -> str:
        return str(self.session.id)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.session.log(dict(metrics), step=step)

    def log_image(self, key: str, images: list[str], step: int | None = None) -> None:
        """Pictures from files, as Lightning's loggers take them."""
        with _spared():
            from wandb import Image

            self.session.log({key: [Image(path) for path in images]}, step=step)

    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Nothing: the run's configuration holds them."""


def _images(written: Iterable[Path]) -> dict[str, Any]:
    from wandb import Image

    return {name: Image(str(path)) for name, path in figure_files(written).items()}


def _tables(written: Iterable[Path]) -> dict[str, Any]:
    from wandb import Image, Table

    path = next((path for path in written if path.name == BAD_CASES), None)
    if path is None:
        return {}
    columns, rows = bad_case_rows(path)
    cells = [[Image(cell) if isinstance(cell, PIL.Image.Image) else cell for cell in row] for row in rows]
    return {path.stem: Table(columns=columns, data=cells)}


def _finish(session: Any, folder: Path, exit_code: int) -> None:
    with _spared():
        write_text(folder / _LAST_STEP, str(session.step))
        offline = f"offline, upload with: wandb sync {session.settings.sync_dir}"
        address = offline if session.offline else session.url
        session.finish(exit_code=exit_code)
        if not session.disabled:
            echo(f"W&B: {address}")


@contextmanager
def _staging_in(folder: Path) -> Iterator[None]:
    """Keep what is to be uploaded in `folder` and not in the user's home."""
    before = os.environ.get(_STAGING)
    os.environ[_STAGING] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_STAGING]
        else:
            os.environ[_STAGING] = before


@contextmanager
def _spared() -> Iterator[None]:
    """Warn of a failure and go on: no result is lost because a dashboard could not be told of it."""
    try:
        yield
    except Exception as error:
        log.warning("W&B: %s: %s", type(error).__name__, redacted(str(error)))
