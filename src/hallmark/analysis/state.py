"""What an analysis is given, and the shape of every analysis."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import pandas as pd

from hallmark.storage.files import atomic_path, write_csv, write_json, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hallmark.data.module import DataModule
    from hallmark.data.sampling import Transform


@dataclass
class State:
    """One evaluated run: where it lies, its predictions and, lazily, what made them.

    Attributes:
        directory: the run directory; results go to `analysis/` and `figures/` inside it.
        split: the split that is analysed.
        predictions: the predictions table of that split (`hallmark.runs.predictions`).
        history: one row an epoch; empty for a run without epochs.
        predictions_of: predictions of another split by name; `out_of_fold` refits on folds of the
            training split if it has to.
        predict: predictions of the same split with every raw input changed by a transform; not stored.
        data: the data module, told what the model reads; of a set of repeats that of its first run.
        load: data module and module with the selected weights, for analyses that need them.
        written: files that were saved, in order.
    """

    directory: Path
    split: str
    predictions: pd.DataFrame
    history: pd.DataFrame
    predictions_of: Callable[[str], pd.DataFrame]
    predict: Callable[["Transform"], pd.DataFrame]
    data: Callable[[], "DataModule"]
    load: Callable[[], tuple["DataModule", Any]]
    written: list[Path] = field(default_factory=list)

    @cached_property
    def loaded(self) -> "tuple[DataModule, Any]":
        """(data module, module), built at most once."""
        return self.load()

    def save_table(self, name: str, frame: pd.DataFrame) -> Path:
        return self._save(write_csv, f"{name}.csv", frame)

    def save_json(self, name: str, value: Any) -> Path:
        return self._save(write_json, f"{name}.json", value)

    def save_text(self, name: str, text: str) -> Path:
        """Write `analysis/<name>`."""
        return self._save(write_text, name, text)

    def save_figure(self, name: str, figure: "Figure") -> Path:
        """Write `figures/<name>.png` and `.pdf`; return the PNG's path."""
        png = save_figure(self.directory / "figures" / f"{name}.png", figure)
        self.written += [png.with_suffix(".pdf"), png]
        return png

    def _save(self, write: Callable[[Path, Any], None], name: str, content: Any) -> Path:
        path = self.directory / "analysis" / name
        write(path, content)
        self.written.append(path)
        return path


def save_figure(png: Path, figure: "Figure") -> Path:
    """Write `png` for the screen and a PDF beside it for a paper."""
    for path in (png, png.with_suffix(".pdf")):
        with atomic_path(path) as temporary:
            figure.savefig(temporary)
    return png


class Analysis(Protocol):
    """Constructor arguments come from `conf/analysis/<name>.yaml`; `run` writes tables and figures."""

    def run(self, state: State) -> None: ...


@runtime_checkable
class ModuleAnalysis(Analysis, Protocol):
    """One that asks the module itself: of one run, whose module is of `module_class`."""

    module_class: type
