"""Check environment, devices, weights, data and keys, and say what to do."""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from hallmark.commands.diagnosis.finding import Finding, Findings, Level, failed
from hallmark.commands.runs import default_outputs
from hallmark.storage.secrets import redacted

Check = Callable[[], Findings]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-folder", type=Path, metavar="FOLDER", help="the folder that data.folder=... will name")
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of lines")


def run(arguments: argparse.Namespace) -> int:
    """Carry out every check; 1 if something failed, 0 otherwise."""
    lines = []
    for name, finding in diagnose(_checks(default_outputs(), arguments.data_folder)):
        lines.append({"check": name, "level": str(finding.level), "text": finding.text})
        if not arguments.json:
            print(f"{finding.level:<8} {name:<12} {finding.text}", flush=True)
    if arguments.json:
        print(json.dumps(lines, indent=2, ensure_ascii=False))
    return int(any(line["level"] == Level.FAILED for line in lines))


def diagnose(checks: dict[str, Check]) -> Iterator[tuple[str, Finding]]:
    """What each check found, by its name; one that raises has failed, and the others go on."""
    for name, check in checks.items():
        try:
            for finding in check():
                yield name, Finding(finding.level, _line(finding.text))
        except Exception as error:
            yield name, failed(f"could not be checked ({type(error).__name__}: {_line(str(error))})")


def _line(text: str) -> str:
    return redacted(" ".join(text.split()))


def _checks(outputs: Path, data_folder: Path | None) -> dict[str, Check]:
    from hallmark.commands.diagnosis import machine, needs, packages, places
    from hallmark.runs.configuration import project_conf

    checks: dict[str, Check] = {
        "python": packages.python,
        "packages": packages.packages,
        "torch": packages.torch_pair,
        "devices": machine.devices,
        "determinism": machine.determinism,
        "disk": lambda: places.disk(outputs),
        "locks": lambda: places.locks(outputs),
        "runs": lambda: places.runs(outputs),
        "hub caches": machine.hub_caches,
        "presets": lambda: needs.needs(project_conf()),
        "keys": machine.keys,
        "extras": packages.extras,
        "test tools": packages.test_tools,
        "git": machine.git,
    }
    if data_folder is not None:
        checks["data"] = lambda: needs.folder_readers(project_conf(), data_folder)
    return checks
