"""What the classes of the presets need from outside, such as data, weights and keys, and whether it is there."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hallmark.commands.diagnosis.finding import Finding, Findings, Level, failed, ok, warning

if TYPE_CHECKING:
    from hallmark.storage.requirements import Requirement

PROFILES = ("sample", "full")
_NAMED = 3  # presets that a line names


@dataclass
class Need:
    """A requirement, the class that has it, and `preset (profile)` of all configurations that need it."""

    owner: str
    requirement: "Requirement"
    presets: list[str] = field(default_factory=list)

    def finding(self) -> Finding:
        more = f" and {len(self.presets) - _NAMED} more" if len(self.presets) > _NAMED else ""
        start = f"{self.owner} of {', '.join(self.presets[:_NAMED])}{more}: {self.requirement.text}"
        return warning(f"{start}: {self.requirement.problem}") if self.requirement.problem else ok(f"{start}: present")


def needs(conf: Path | None) -> Findings:
    """A line for each requirement of the presets in `conf` with either profile; then how to provide what is missing."""
    if conf is None:
        yield warning("no conf/ with presets here; run it in the project's folder to check what they need")
        return
    by_requirement: dict[tuple[str, Requirement], Need] = {}
    for preset, node, owner in preset_classes(conf):
        if isinstance(owner, Exception):
            yield warning(f"{preset}: {owner}")
            continue
        for requirement in owner.requirements(node):
            need = by_requirement.setdefault((owner.__name__, requirement), Need(owner.__name__, requirement))
            need.presets.append(preset)
    for need in by_requirement.values():
        yield need.finding()
    missing = [need.requirement for need in by_requirement.values() if need.requirement.problem]
    yield from map(warning, dict.fromkeys(requirement.advice for requirement in missing if requirement.advice))


def folder_readers(conf: Path | None, folder: Path) -> Findings:
    """Which data modules of the presets can read `folder`, or what each of them would need to."""
    if not folder.is_dir():
        yield failed(f"{folder}: no such folder; give the one that data.folder=... will name")
        return
    if not os.access(folder, os.R_OK | os.X_OK):
        yield failed(f"{folder}: not readable for this user: chmod -R u+rX {folder}")
        return
    findings: dict[str, Finding] = {}
    for preset, node, owner in preset_classes(conf) if conf is not None else ():
        key = next((key for key in ("folder", "source") if key in node), None)
        if key is None or isinstance(owner, Exception) or owner.__name__ in findings:
            continue
        first = owner.requirements({**node, key: str(folder)})[0]
        start = f"{owner.__name__} of {preset}, data.{key}"
        problem = f"{start}: {first.problem}; it reads {first.text}"
        findings[owner.__name__] = warning(problem) if first.problem else ok(f"{start}: {first.text}")
    fitting = [finding for finding in findings.values() if finding.level is Level.OK]
    yield from fitting or findings.values() or [warning("no conf/ with presets here that could read it")]


@cache
def preset_classes(conf: Path) -> list[tuple[str, Mapping[str, Any], Any]]:
    """(`preset (profile)`, arguments, class) of every node whose class says what it needs; nothing is built.

    In place of the class stands the error where a preset cannot be composed or names one that is not admitted.
    """
    from hydra import compose, initialize_config_dir
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from hallmark.checks import SettingError
    from hallmark.engine.config.targets import admitted_class, trusted_packages

    classes: list[tuple[str, Mapping[str, Any], Any]] = []
    with initialize_config_dir(str(conf.absolute()), version_base="1.3"):
        for preset in sorted(path.stem for path in (conf / "experiment").glob("*.yaml")):
            for profile in PROFILES:
                name = f"{preset} ({profile})"
                try:
                    config = compose("train", [f"experiment={preset}", f"profile={profile}"])
                    trusted = trusted_packages(config)
                    plain = {key: OmegaConf.to_container(config[key], resolve=True) for key in ("data", "model")}
                    nodes = list(_nodes(plain))
                    owners = [admitted_class(node["_target_"], key, trusted) for key, node in nodes]
                except (SettingError, HydraException, OmegaConfBaseException) as error:
                    classes.append((name, {}, error))
                    continue
                pairs = zip(nodes, owners, strict=True)
                classes += [(name, node, owner) for (_, node), owner in pairs if hasattr(owner, "requirements")]
    return classes


def _nodes(plain: Any, key: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every node with a `_target_`, with its key, however deep it lies."""
    if isinstance(plain, dict):
        if "_target_" in plain:
            yield key, plain
        for name, value in plain.items():
            yield from _nodes(value, f"{key}.{name}" if key else str(name))
    elif isinstance(plain, list):
        for value in plain:
            yield from _nodes(value, key)
