"""Where the source of a module lies, found without importing it."""

import sysconfig
from importlib.util import find_spec
from pathlib import Path

_INSTALLED = {"site-packages", "dist-packages"}
_LIBRARY = [sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib")]


class SourceFiles:
    """Files by module; each top-level package is looked for once."""

    def __init__(self) -> None:
        self._packages: dict[str, Path | None] = {}

    def of(self, module: str) -> Path | None:
        """The file of `module`; None for a name that is no module, and for what is installed beside hallmark."""
        top, *parts = module.split(".")
        if top not in self._packages:
            self._packages[top] = _package(top)
        if (package := self._packages[top]) is None:
            return None
        if not parts and package.suffix == ".py":
            return package
        path = package.joinpath(*parts)
        return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def _package(name: str) -> Path | None:
    """Folder or file of a top-level module; None where its version says all, because it is installed."""
    try:
        spec = find_spec(name)
    except ValueError:  # a module that has none, such as __main__
        return None
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    path = Path(folders[0] if folders else spec.origin or "")
    library = any(map(path.is_relative_to, _LIBRARY))
    # By name, because an environment may take packages from another one, or from the user's folder.
    if name != "hallmark" and (library or not path.exists() or not _INSTALLED.isdisjoint(path.parts)):
        return None
    return path
