"""Folders of generated data: made once, whole or not at all."""

import json
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, get_type_hints

from hallmark.checks import SettingError, check_type, require, setting
from hallmark.storage.files import temporary_folder
from hallmark.storage.hashing import digest
from hallmark.storage.requirements import Requirement, folder_with

RECORD = "sample.json"


def sample_folder(
    cache: Path, system: str, generate: Callable[..., Path], arguments: Mapping[str, Any] | None, *, key: str,
    expected: str,
) -> Path:  # fmt: skip
    """The sample world of `arguments`, generated in a folder of its own where it is not there.

    Args:
        generate: of the system; its annotations say what the arguments may be.
        key: the setting of the user's own data; `expected`: what that is.

    Raises:
        SettingError: no arguments, one too many or too few, or one of a wrong type or range.
    """
    if arguments is None:
        raise SettingError(key, None, f"{expected}; or profile=sample, which generates some")
    hints = get_type_hints(generate)
    parameters = {name: p for name, p in signature(generate).parameters.items() if p.kind is p.KEYWORD_ONLY}
    needed = {name for name, parameter in parameters.items() if parameter.default is parameter.empty}
    named = needed <= set(arguments) <= set(parameters)
    require(named, "sample", dict(arguments), f"values for {', '.join(parameters)}")
    for name, value in arguments.items():
        check_type(hints[name], f"sample.{name}", value)
    with setting("sample"):
        return generate(cache / "sample" / f"{system}-{digest(dict(arguments))[:8]}", **arguments)


def data_folder(
    folder: str | None, cache: Path, system: str, generate: Callable[..., Path], arguments: Mapping[str, Any] | None, *,
    expected: str,
) -> Path:  # fmt: skip
    """The user's own `folder`, or where that is None the sample world of `sample_folder`."""
    if folder is not None:
        return Path(folder).expanduser()
    return sample_folder(cache, system, generate, arguments, key="folder", expected=expected)


def data_requirement(
    folder: str | None, sample: Mapping[str, Any] | None, names: Sequence[str], *, text: str, key: str = "folder"
) -> Requirement:
    """The user's own `folder` with `names` in it, as `text` says; or the sample that is generated without one."""
    if folder is not None:
        return folder_with(names, folder, text=text)
    if sample is not None:
        return Requirement("generated data")
    return Requirement(text, "no folder is given", f"data.{key}={key.upper()}, or profile=sample, which generates some")


def origin_of(folder: Path | str, system: str) -> str | None:
    """What the generated data of `system` in `folder` is called in records and weights; None for any other data."""
    return f"the generated sample of {system}" if (Path(folder) / RECORD).is_file() else None


def generated(
    folder: Path, arguments: Mapping[str, Any], version: int, build: Callable[[Path], Mapping[str, int]]
) -> Path:
    """`folder`, built first unless it holds what these arguments and this version give.

    `sample.json` records both and is there only when everything else is. The folder appears under its name in one
    step, whoever else builds it too.

    Args:
        build: fills the folder that it is given and counts what it made.

    Raises:
        ValueError: the folder holds something else.
    """
    if _is_complete(folder, arguments, version):
        return folder
    with temporary_folder(folder) as built:
        counts = build(built)
        record = {"version": version, "arguments": arguments, "counts": dict(sorted(counts.items()))}
        (built / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        try:
            built.rename(folder)
        except OSError:
            if not _is_complete(folder, arguments, version):
                raise
    return folder


def _is_complete(folder: Path, arguments: Mapping[str, Any], version: int) -> bool:
    """Whether `folder` holds this very sample (True) or nothing (False); ValueError for anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    path = folder / RECORD
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if record and record["version"] == version and record["arguments"] == arguments:
        return True
    held = f"a sample of {record['arguments']}, version {record['version']}" if record else "something else"
    raise ValueError(f"{folder} holds {held}, not {arguments}, version {version}; choose another folder")
