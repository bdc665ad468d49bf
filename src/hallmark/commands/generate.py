"""Write pictures that a finished run draws, each as a PNG and all on one sheet.

SETTINGS are target_class=NAME, a class by its name or number (all that the run draws), n=N, pictures of each class
(16), and seed=N (0): of one run the same ones give the same files. Nothing that is already in FOLDER is overwritten.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

_KEYS = ("target_class", "n", "seed")
_LARGEST = {"n": 10_000, "seed": 2**63 - 1}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="a finished run, such as outputs/.../latest")
    add("settings", nargs="*", metavar="SETTING", help="target_class=NAME, n=16, seed=0")
    add("--output", type=Path, required=True, metavar="FOLDER", help="where the pictures go")
    examples = "trusted_packages=[mypackage] for a run with classes of your own; paths.cache=... for other places"
    add("--setting", action="append", default=[], metavar="KEY=VALUE", help=examples)


def run(arguments: argparse.Namespace) -> int:
    """Draw and write pictures, and say where they are.

    Raises:
        SettingError: a run that draws none, a class that it does not draw, an output that cannot be written or holds
            other files of these names.
        ValueError: no finished run, or a setting that there is none of.
    """
    from hallmark.storage.destinations import check_folder

    settings = _settings(arguments.settings)
    n, seed = _number(settings, "n", 16, least=1), _number(settings, "seed", 0, least=0)
    check_folder("--output", arguments.output)

    from hallmark.engine.config.trust import Trust
    from hallmark.engine.generate import generated_pictures, write_pictures  # torch loads here, and not for --help
    from hallmark.engine.launch import composed_for_result
    from hallmark.runs.run import open_run

    trust = Trust.of(composed_for_result(arguments.run, arguments.setting))
    files = generated_pictures(open_run(arguments.run), settings.get("target_class"), n=n, seed=seed, trust=trust)
    write_pictures(arguments.output, files)
    print(f"{arguments.output}: {len(files) - 1} pictures, and sheet.png with all of them")
    return 0


def _settings(typed: Sequence[str]) -> dict[str, str]:
    from hallmark.checks import require

    settings: dict[str, str] = {}
    for word in typed:
        key, is_setting, value = word.partition("=")
        require(bool(is_setting) and key in _KEYS, "SETTING", word, f"one of {', '.join(f'{key}=…' for key in _KEYS)}")
        require(key not in settings, key, value, f"one value; {settings.get(key)} was typed before")
        settings[key] = value
    return settings


def _number(settings: Mapping[str, str], key: str, default: int, *, least: int) -> int:
    from hallmark.checks import require
    from hallmark.storage.printing import shortened

    text, expected = settings.get(key, str(default)), f"a whole number from {least} to {_LARGEST[key]}"
    readable = text.isdecimal() and text.isascii() and len(text) <= len(str(_LARGEST[key]))
    require(readable and least <= int(text) <= _LARGEST[key], key, shortened(text), expected)
    return int(text)
