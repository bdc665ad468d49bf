"""`--help`: the presets with what each reproduces, and the groups to choose from.

Written here because Hydra's own help composes every group of its search path, which takes over a second.
"""

import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

_WANTED = {"--help", "-h"}
_FURTHER = {"--config-dir", "-cd"}
_HIDDEN = {"experiment", "paths", "hydra"}


def show_usage_if_asked(config_name: str) -> None:
    """Print the usage of a script and end the process with 0 if its arguments ask for help."""
    if not _WANTED & set(sys.argv[1:]):
        return
    further = [Path(folder) for folder in _config_dirs(sys.argv[1:])]
    print(usage(Path(sys.argv[0]).resolve().parent / "conf", config_name, further))
    sys.exit(0)


def _config_dirs(arguments: Sequence[str]) -> list[str]:
    """The folders that are typed as --config-dir, -cd for short."""
    apart = [value for key, value in pairwise(arguments) if key in _FURTHER]
    return apart + [text.partition("=")[2] for text in arguments if text.startswith("--config-dir=")]


def usage(conf: Path, config_name: str, further: Sequence[Path] = ()) -> str:
    """Usage of `<config_name>.py` from the comments at the head of the config files in `conf` and `further` folders."""
    used = ["analysis"] if config_name == "evaluate" else _groups(conf, without_sweep=config_name == "train")
    lines = _comments(conf / f"{config_name}.yaml")[:1]
    if config_name != "evaluate":
        lines += ["", "Presets (experiment=...)", *_described([conf, *further], "experiment")]
    for group in used:
        lines += ["", f"{group}=...", *_described([conf, *further], group)]
    return "\n".join([*lines, "", "--cfg job prints every setting; any of them can be given as key=value."])


def _groups(conf: Path, *, without_sweep: bool) -> list[str]:
    hidden = _HIDDEN | {"analysis"} | ({"sweep", "workers"} if without_sweep else set())
    profiles = {file.stem for file in (conf / "profile").glob("*.yaml")}
    groups = []
    for folder in sorted(path for path in conf.rglob("*") if path.is_dir()):
        group = folder.relative_to(conf)
        follows_profile = len(group.parts) > 1 and {file.stem for file in folder.glob("*.yaml")} <= profiles
        if group.parts[0] not in hidden and not follows_profile:
            groups.append(group.as_posix())
    return [*groups, "hydra/launcher"]


def _described(folders: Sequence[Path], group: str) -> list[str]:
    files = [file for folder in folders for file in (folder / group).glob("*.yaml")]
    files.sort(key=lambda file: file.stem)
    width = max([18, *(len(file.stem) + 1 for file in files)])
    return [f"  {file.stem:<{width}}{' '.join(_comments(file)[:1])}".rstrip() for file in files]


def _comments(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("# ") for line in lines if line.startswith("# ") and not line.startswith("# @package")]
