"""Presets as parents: the configuration of a run that is made for another one, on its data and its split."""

import copy
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from hallmark.checks import SettingError, require
from hallmark.engine.config.overrides import refuse_typed_secrets
from hallmark.runs.configuration import project_conf
from hallmark.wording import did_you_mean

_KEYS = ("experiment", "overrides", "seed")
# Of `data`: they decide no row and no split, but for target_class, which leaves rows out once all are split.
_OF_THE_PARENT = ("batch_size", "num_workers", "augment", "seed", "target_class")
_OF_THE_CHILD = ("paths", "logger", "features", "on_code_change", "trusted_packages", "trusted_paths", "trusted_hosts")
_FIXED = ("seed", "rerun", "profile", "experiment", *_OF_THE_CHILD)
_OF_NO_PARENT = ("repeat", "analysis")  # one run is made, and nothing but that run


def parent_config(role: str, node: Mapping[str, Any], config: DictConfig) -> DictConfig:
    """The configuration of what is made as the parent `role` of the run of `config`, which is not resolved.

    All of `data` that decides rows and split is that of `config`, and so are profile and places, and the seed unless
    `node` has one.

    Args:
        node: `experiment` (a preset), `overrides` of it, and `seed`.

    Raises:
        SettingError: another key, or overrides that do not compose or would have no effect.
        SecretError: an override would store a secret.
    """
    key = f"parents.{role}"
    for name in node:
        require(name in _KEYS, f"{key}.{name}", node[name], f"{', '.join(_KEYS)}{did_you_mean(name, _KEYS)}")
    experiment, overrides = node.get("experiment"), node.get("overrides") or []
    require(isinstance(experiment, str) and bool(experiment), f"{key}.experiment", experiment, "a preset")
    valid = isinstance(overrides, list) and all(isinstance(text, str) for text in overrides)
    require(valid, f"{key}.overrides", overrides, "a list of overrides, such as [trainer.max_epochs=4]")
    refuse_typed_secrets(overrides)
    for text in overrides:
        name = text.partition("=")[0].lstrip("+~")
        first, *below = re.split(r"[./@]", name)
        expected = f"other settings: this one is that of the run itself{f', or {key}.seed' if first == 'seed' else ''}"
        free = first not in _FIXED and (first != "data" or (len(below) > 0 and below[0] in _OF_THE_PARENT))
        require(free, f"{key}.overrides", text, expected)
        expected = "other settings: a parent is one run, and no analysis of it is made"
        require(first not in _OF_NO_PARENT, f"{key}.overrides", text, expected)
    try:
        typed = (f"experiment={experiment}", f"profile={config.profile}", *overrides)
        parent = copy.deepcopy(_composed(*_conf(), typed))
    except Exception as error:  # Hydra and OmegaConf raise a dozen kinds
        raise SettingError(key, dict(node), f"a preset, and overrides that fit it ({error})") from error
    OmegaConf.set_struct(parent, False)
    for name in _OF_THE_CHILD:
        if name in config:
            parent[name] = copy.deepcopy(config._get_node(name))
    parent.paths.run_dir = parent.repeat = None
    parent.seed = config.seed if node.get("seed") is None else node["seed"]
    if (config.get("callbacks") or {}).get("progress") is None and parent.get("callbacks"):
        parent.callbacks.progress = None
    data: Any = OmegaConf.to_container(config.data, resolve=False)
    same = data["_target_"] == parent.data._target_
    rows = {name: value for name, value in data.items() if name not in _OF_THE_PARENT and (same or name in parent.data)}
    if not same:
        del rows["_target_"]
    for name, value in rows.items():
        OmegaConf.update(parent.data, name, value, merge=False)
    return parent


def _conf() -> tuple[str, tuple[str, ...]]:
    """The folder of the settings, and the further ones that this command searches."""
    if HydraConfig.initialized():
        sources = HydraConfig.get().runtime.config_sources
        main = next(source.path for source in sources if source.provider == "main")
        further = [source.path for source in sources if source.schema == "file" and source.path != main]
        return str(main), tuple(further)
    folder = project_conf()
    if folder is None:
        raise ValueError(f"no conf/train.yaml in {Path.cwd()}: start this command in the project's folder")
    return str(folder), ()


@cache
def _composed(conf: str, further: tuple[str, ...], overrides: tuple[str, ...]) -> DictConfig:
    running = GlobalHydra.instance().hydra  # of the command, which is composed already
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(conf, version_base="1.3"):
            searched = ", ".join(f"'file://{folder}'" for folder in further)
            return compose("train", [*([f"hydra.searchpath=[{searched}]"] if further else []), *overrides])
    finally:
        GlobalHydra.instance().hydra = running
