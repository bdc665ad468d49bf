"""Classes that are the folders of a data set, in configurations: ${class_folders:${.folder},${.sample.characters}}."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import ListConfig

from hallmark.storage.regular import composed, is_class_name, leads_out


def class_folders(folder: str | None, otherwise: Sequence[str] | None) -> ListConfig:
    """Names of the folders in `folder`, in order and as Unicode composes them; `otherwise` where no folder is given.

    One that is hidden, a link out of `folder`, or whose name could not be stored in a configuration, is left out; a
    folder that is not there has none. Whoever reads the data says so.
    """
    if folder is None:
        return ListConfig(list(otherwise or []))
    path = Path(str(folder)).expanduser()  # 2024 is a number until it is known that it should be a text
    if not path.is_dir():
        return ListConfig([])
    folders = [child for child in path.iterdir() if child.is_dir() and not leads_out(path, child.name)]
    names = {composed(child.name) for child in folders}
    usable = [name for name in names if not name.startswith(".") and is_class_name(name)]
    return ListConfig(sorted(usable))  # a plain list is nothing that OmegaConf.resolve puts in its place
