"""Python and the installed packages, against what the project declares."""

import platform
import shutil
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from hallmark.commands.diagnosis.finding import Findings, failed, ok, warning

PROJECT = "hallmark-experiments"
_INSTALL = "pip install --require-hashes -r requirements.txt"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_POSTGRES = "/usr/lib/postgresql/*/bin/initdb"  # where Debian keeps it off the PATH


def python() -> Findings:
    version, wanted = platform.python_version(), metadata.metadata(PROJECT)["Requires-Python"]
    if SpecifierSet(wanted).contains(version, prereleases=True):
        yield ok(f"Python {version}")
    else:
        yield failed(f"Python {version}, {wanted} needed: make the environment again with a newer Python")


def packages() -> Findings:
    packages = declared(PROJECT)
    needed = [package for package in packages if not package.marker or package.marker.evaluate({"extra": ""})]
    problems = [problem for package in needed if (problem := mismatch(package))]
    yield from map(failed, problems)
    if not problems:
        yield ok(f"{len(needed)} packages within their ranges")


def torch_pair() -> Findings:
    """torchvision is compiled against one torch; with another its import ends in an error."""
    pair = f"torch {metadata.version('torch')}, torchvision {metadata.version('torchvision')}"
    again = f"install both together: {_INSTALL} --force-reinstall"
    problem = next((mismatch(package) for package in declared("torchvision") if package.name == "torch"), None)
    if problem:
        yield failed(f"{pair} do not match ({problem}); {again}")
        return
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError, OSError) as error:
        yield failed(f"{pair} do not load ({error}); {again}")
    else:
        yield ok(pair)


def extras() -> Findings:
    """Packages beyond the required ones, by the name of the extra that brings them."""
    for extra in metadata.metadata(PROJECT).get_all("Provides-Extra") or []:
        problems = [
            problem
            for package in declared(PROJECT)
            if package.marker and package.marker.evaluate({"extra": extra}) and package.name != PROJECT
            if (problem := mismatch(package, brief=True))
        ]
        install = f"pip install '{PROJECT}[{extra}]'"
        yield ok(f"{extra}: {'; '.join(problems)} ({install})" if problems else f"{extra}: installed")


def test_tools() -> Findings:
    """Programs that some tests need; without them these tests are skipped."""
    browser = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    server = shutil.which("initdb") or next(map(str, Path("/").glob(_POSTGRES.removeprefix("/"))), None)
    for name, path, package in (("chromium", browser, "chromium"), ("PostgreSQL", server, "postgresql")):
        missing = f"{name} not found; the tests that need it are skipped: apt-get install {package}"
        yield ok(f"{name}: {path}") if path else warning(missing)


def declared(package: str) -> list[Requirement]:
    return [Requirement(line) for line in metadata.requires(package) or []]


def mismatch(wanted: Requirement, *, brief: bool = False) -> str | None:
    """How the installed version differs from `wanted`, None where it fits."""
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        problem = f"{wanted.name} is not installed"
    else:
        if wanted.specifier.contains(version, prereleases=True):
            return None
        problem = f"{wanted.name} {version} is installed, {wanted.specifier} needed"
    return problem if brief else f"{problem}: {_INSTALL}"
