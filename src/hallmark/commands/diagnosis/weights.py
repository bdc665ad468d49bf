"""Whether the weights that the presets name with profile=full can be loaded without network."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hallmark.commands.diagnosis.finding import Findings, ok, warning

_ENCODERS = "hallmark.learning.encoders."
_WAYS = "Three ways to provide them"
_CACHES = ("HF_HOME", "HF_HUB_CACHE", "TORCH_HOME")


def weights(conf: Path | None) -> Findings:
    """Builds each encoder of the presets in `conf`, offline, as a run would build it."""
    yield from (
        warning(f"{name}={folder}: no such folder; create it, or unset {name}")
        for name in _CACHES
        if (folder := os.environ.get(name)) and not Path(folder).expanduser().is_dir()
    )
    if conf is None:
        yield warning("no conf/ with presets here; run it in the project's folder to check their weights")
        return
    advice = ""
    for name, node in published_encoders(conf).items():
        problem = _problem(node)
        if problem is None:
            yield ok(f"{name}: available without network")
            continue
        what, missing, explanation = problem.partition(": weights not found")
        yield warning(f"{what}: weights not found without network" if missing else problem)
        advice = advice or explanation[explanation.find(_WAYS) :] * (_WAYS in explanation)
    if advice:
        yield warning(advice)


def published_encoders(conf: Path) -> dict[str, Any]:
    """Config nodes of the encoders that the presets use with profile=full, by name and weights, each once."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    encoders: dict[str, Any] = {}
    with initialize_config_dir(str(conf.absolute()), version_base="1.3"):
        for preset in sorted((conf / "experiment").glob("*.yaml")):
            config = compose("train", [f"experiment={preset.stem}", "profile=full"])
            for node in _encoders(config.model):
                plain: Any = OmegaConf.to_container(node, resolve=True)
                encoders.setdefault(f"{plain['name']} ({plain['weights']})", OmegaConf.create(plain))
    return encoders


def _encoders(node: Any) -> list[Any]:
    from omegaconf import DictConfig

    if not isinstance(node, DictConfig):
        return []
    if str(node.get("_target_", "")).startswith(_ENCODERS) and "weights" in node:
        return [node]
    return [encoder for child in node.values() for encoder in _encoders(child)]


def _problem(node: Any) -> str | None:
    from huggingface_hub import constants

    from hallmark.engine.build import build
    from hallmark.learning.encoders.base import Encoder

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    logging.disable()  # open_clip logs what it also raises
    try:
        build(node, Encoder | Mapping)
    except ValueError as error:
        return str(error)
    finally:
        constants.HF_HUB_OFFLINE = before
        logging.disable(logging.NOTSET)
    return None
