"""The configuration path: errors that say what to type instead, and nothing heavy imported."""

import difflib
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hallmark.checks import Interrupted
from hallmark.engine.overrides import refuse_typed_secrets
from hallmark.engine.usage import show_usage_if_asked
from hallmark.storage.secrets import redacted

os.environ["HYDRA_FULL_ERROR"] = "1"  # hand exceptions to `readable_errors` and not to Hydra's own printer
# Of the warnings that torch writes past Python, those that several devices bring are about unused parameters.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


@contextmanager
def readable_errors(config_name: str) -> Iterator[None]:
    """End the process with a sentence and code 2 for what a user did; anything else keeps its traceback.

    No secret of the environment is printed, nor one accepted as a setting.

    `--help` is answered before anything is composed.
    """
    show_usage_if_asked(config_name)
    try:
        refuse_typed_secrets(sys.argv[1:])
        yield
    except MissingConfigException as error:
        _quit(_unknown_option(error))
    except ConfigCompositionException as error:
        _quit(_unknown_key(error, config_name) or str(error))
    except (ValueError, HydraException, OmegaConfBaseException) as error:
        _quit(str(error))
    except Interrupted as error:
        _quit(f"{error}; the same command goes on from there", code=143)
    except KeyboardInterrupt:
        _quit("interrupted", code=130)
    except Exception:
        printed = traceback.format_exc()
        if redacted(printed) == printed:
            raise
        print(redacted(printed), file=sys.stderr, end="")
        sys.exit(1)


def _quit(message: str, code: int = 2) -> NoReturn:
    print(f"error: {redacted(message)}", file=sys.stderr)
    sys.exit(code)


_LAUNCHERS = {"submitit": "slurm", "ray": "ray"}  # the extra of pyproject.toml that brings a launcher


def _unknown_option(error: MissingConfigException) -> str:
    wanted = (error.missing_cfg_file or "").removesuffix(".yaml")
    group, _, name = wanted.rpartition("/")
    if group == "hydra/launcher" and (extra := _LAUNCHERS.get(name.partition("_")[0])):
        return f"{group}={name}: not installed; pip install 'hallmark-experiments[{extra}]'"
    own = [file.stem for file in (_conf() / group).glob("*.yaml")]  # Hydra gives no options for a list such as analysis
    options = sorted(own or [option for option in error.options or [] if option])
    near = difflib.get_close_matches(name, options, n=1, cutoff=0.4)
    hint = f" Did you mean {group}={near[0]}?" if near else ""
    return f"{group}={name}: no such preset.{hint} There are: {', '.join(options)}"


def _unknown_key(error: BaseException, config_name: str) -> str | None:
    match = re.search(r"Could not override '([^']+)'", str(error))
    if not match:
        return None
    key = match.group(1)
    known = sorted({*_groups(), *_known_keys(key, config_name)})
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
    last = key.rpartition(".")[2]
    near += [path for path in known if path.rpartition(".")[2] == last and path not in near]
    hint = f" Did you mean {' or '.join(near[:3])}?" if near else ""
    return f"{key}: no such setting.{hint} (`--cfg job` prints them all)"


def _known_keys(bad: str, config_name: str) -> list[str]:
    pairs = (argument.partition("=") for argument in sys.argv[1:] if "=" in argument)
    groups = [f"{key}={value}" for key, _, value in pairs if key != bad and not set(".,") & set(key + value)]
    try:
        with initialize_config_dir(str(_conf()), version_base="1.3"):
            return setting_names(compose(config_name, groups))
    except (HydraException, OmegaConfBaseException):
        return []


def _groups() -> list[str]:
    return [folder.relative_to(_conf()).as_posix() for folder in sorted(_conf().rglob("*")) if folder.is_dir()]


def _conf() -> Path:
    return Path(sys.argv[0]).resolve().parent / "conf"


def setting_names(config: DictConfig) -> list[str]:
    """Every key of `config` as a user types it, sections included."""
    return list(_flat(config))


def _flat(config: DictConfig) -> Iterator[str]:
    stack: list[tuple[str, Any]] = [("", OmegaConf.to_container(config, resolve=False))]
    while stack:
        path, value = stack.pop()
        if path:
            yield path
        if isinstance(value, dict):
            stack.extend((f"{path}.{key}" if path else str(key), item) for key, item in value.items())
