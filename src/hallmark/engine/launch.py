"""The configuration path: errors that say what to type instead, and nothing heavy imported."""

import atexit
import difflib
import gc
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from hydra import compose, initialize_config_dir
from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    InstantiationException,
    MissingConfigException,
)
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hallmark.checks import Interrupted
from hallmark.engine.command import keys_of, refuse_without_effect, root
from hallmark.engine.config.overrides import refuse_typed_secrets
from hallmark.engine.config.replaced import replacement
from hallmark.engine.config.symbolic import refuse_configured_secrets
from hallmark.engine.config.trust import TRUST_KEYS
from hallmark.engine.config.usage import show_usage_if_asked
from hallmark.runs.configuration import project_conf
from hallmark.storage.failures import sentence, traceback_text
from hallmark.storage.secrets import SecretError, redacted
from hallmark.storage.streams import make_streams_tolerant

os.environ["HYDRA_FULL_ERROR"] = "1"  # hand exceptions to `readable_errors` and not to Hydra's own printer
# Of the warnings that torch writes past Python, those that several devices bring are about unused parameters.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def _result_or_error(job: JobReturn) -> Any:
    """What a job returned, or its error; Hydra's own property first prints all that was typed."""
    assert job.status is not JobStatus.UNKNOWN
    if job.status is JobStatus.COMPLETED:
        return job._return_value
    raise job._return_value


JobReturn.return_value = JobReturn.return_value.getter(_result_or_error)


class SecretGuard(Callback):
    """Ends a command of Hydra whose configuration holds a secret before Hydra writes a file of its own."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        _refuse_before_files(config)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        _refuse_before_files(config)


def _refuse_before_files(config: DictConfig) -> None:
    settings = config.copy()
    OmegaConf.set_struct(settings, False)
    settings.pop("hydra", None)
    try:
        refuse_configured_secrets(settings)
    except SecretError as error:  # Hydra would make a warning of it
        _quit(str(error))
    except ValueError:
        return  # what cannot be resolved, or not yet, is answered where it is used


@contextmanager
def readable_errors(config_name: str) -> Iterator[None]:
    """End the process with a sentence and code 2 for what a user or the machine did, as on a full disk.

    Anything else is a mistake in code and keeps its traceback, with code 1. No secret of the environment is printed,
    nor one accepted as a setting. `--help` is answered before anything is composed.
    """
    make_streams_tolerant()
    show_usage_if_asked(config_name)
    try:
        refuse_typed_secrets(sys.argv[1:])
        yield
    except Interrupted as error:
        _quit(f"{error}; the same command goes on from there", code=143)
    except KeyboardInterrupt:
        _quit("interrupted", code=130)
    except Exception as error:
        conf = Path(sys.argv[0]).resolve().parent / "conf"
        if (message := _composition_error(error, config_name, conf, sys.argv[1:]) or sentence(error)) is not None:
            _quit(message)
        print(traceback_text(error), file=sys.stderr, end="")
        sys.exit(1)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Import what is heavy in the block: the garbage collector rests, and never looks through these modules later.

    They stay until the process ends; to look through them again and again takes a sixth of an import of torch.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        atexit.register(gc.unfreeze)  # or libraries of torch report at the end what they think was leaked


@contextmanager
def redacted_errors() -> Iterator[None]:
    """End a process that no user started with its traceback, secrets of the environment taken out."""
    try:
        yield
    except Exception as error:
        print(traceback_text(error), file=sys.stderr, end="")
        sys.exit(1)


def _quit(message: str, code: int = 2) -> NoReturn:
    print(f"error: {redacted(message)}", file=sys.stderr)
    sys.exit(code)


def _composition_error(error: Exception, config_name: str, conf: Path, typed: Sequence[str]) -> str | None:
    """Why the configuration could not be composed; None where it could, or where the error says so itself."""
    if isinstance(error, ValueError) and str(error).startswith("Config group override must be"):
        # A number or truth value was typed where the name of a preset belongs; Hydra does not say which.
        for argument in typed:
            key, _, value = argument.lstrip("+").partition("=")
            options = sorted(file.stem for file in (conf / key).glob("*.yaml"))
            if options and value not in options and not value.startswith("["):
                return f"{key}={value}: no such preset. There are: {', '.join(options)}"
        return None
    if isinstance(error, UnicodeDecodeError):
        for file in sorted(conf.rglob("*.yaml")):
            try:
                file.read_text(encoding="utf-8")
            except UnicodeDecodeError as undecodable:
                return f"{file}: not UTF-8 text ({undecodable.reason} at byte {undecodable.start})"
        return None
    built = isinstance(error, InstantiationException) and error.__cause__ is not None  # a constructor raised
    if not isinstance(error, HydraException | OmegaConfBaseException) or built or sentence(error) is not None:
        return None
    return explained(error, config_name, conf, typed)


def explained(error: Exception, config_name: str, conf: Path, typed: Sequence[str]) -> str:
    """Why the configuration `config_name` below `conf` could not be composed of `typed`, and what to type instead."""
    if isinstance(error, MissingConfigException):
        group, _, name = (error.missing_cfg_file or "").removesuffix(".yaml").rpartition("/")
        if group == "hydra/launcher" and name.startswith("submitit"):
            return f"{group}={name}: not installed; pip install 'hallmark-experiments[slurm]'"
        if group == "experiment" and (answer := replacement(name)):
            return answer
        files = [file.stem for file in (conf / group).glob("*.yaml")]  # Hydra gives none for a list such as analysis
        options = sorted(files or [option for option in error.options or [] if option])
        near = difflib.get_close_matches(name, options, n=1, cutoff=0.4)
        hint = f" Did you mean {group}={near[0]}?" if near else ""
        return f"{group}={name}: no such preset.{hint} There are: {', '.join(options)}"
    match = re.search(r"Could not override '([^']+)'", str(error))
    if not isinstance(error, ConfigCompositionException) or not match:
        return str(error)
    key, keys = match.group(1), list[str]()
    if key.startswith("parents."):
        return f"{key}: the preset lists no such parent; +{key}=… adds it"
    pairs = (argument.partition("=") for argument in typed if "=" in argument)
    groups = [f"{name}={value}" for name, _, value in pairs if name != key and not set(".,") & set(name + value)]
    with suppress(HydraException, OmegaConfBaseException), initialize_config_dir(str(conf), version_base="1.3"):
        keys = setting_names(compose(config_name, groups))
    folders = [folder.relative_to(conf).as_posix() for folder in conf.rglob("*") if folder.is_dir()]
    known = sorted({*folders, *keys} - {key})
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
    last = key.rpartition(".")[2]
    near += [path for path in known if path.rpartition(".")[2] == last and path not in near]
    hint = f" Did you mean {' or '.join(near[:3])}?" if near else ""
    return f"{key}: no such setting.{hint} (`--cfg job` prints them all)"


def composed(config_name: str, typed: Sequence[str]) -> DictConfig:
    """The configuration `config_name` of `typed` overrides, for a command that Hydra did not start.

    Raises:
        ValueError: the project's `conf` is not here, or the overrides do not compose.
    """
    refuse_typed_secrets(typed)
    conf = project_conf()
    if conf is None:
        raise ValueError(f"no conf/train.yaml in {Path.cwd()}: start this command in the project's folder")
    try:
        with initialize_config_dir(str(conf), version_base="1.3"):
            return compose(config_name, list(typed))
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        if (message := _composition_error(error, config_name, conf, typed)) is None:
            raise
        raise ValueError(message) from error


def composed_for_result(result: Path, typed: Sequence[str], *, also_read: Sequence[str] = ()) -> DictConfig:
    """The configuration `evaluate` of `typed` overrides, of which a command about `result` reads trust and places.

    Args:
        also_read: further sections that it reads.

    Raises:
        ValueError: as `composed`, or a setting that has no effect.
    """
    config = composed("evaluate", typed)
    read = ("paths", *TRUST_KEYS, *also_read)
    why = f"{result} keeps the settings that it was made with, and this command reads {', '.join(read)} alone"
    refuse_without_effect([key for key in keys_of(typed) if root(key) not in read], why)
    return config


def setting_names(config: DictConfig) -> list[str]:
    """Every key of `config` as a user types it, sections included."""
    names: list[str] = []
    stack: list[tuple[str, Any]] = [("", OmegaConf.to_container(config, resolve=False))]
    while stack:
        path, value = stack.pop()
        names += [path] if path else []
        if isinstance(value, dict):
            stack.extend((f"{path}.{key}" if path else str(key), child) for key, child in value.items())
    return names
