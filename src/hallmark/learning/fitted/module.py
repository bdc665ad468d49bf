"""Models that are fitted at once and not by steps: their state is arrays and plain values, and the run keeps it."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hallmark.data.module import DataModule
from hallmark.learning.module import TrainingFreeModule
from hallmark.runs.fitted import FOLDER
from hallmark.storage.files import write_csv
from hallmark.storage.state import read_state, write_state


class FittedModule(TrainingFreeModule):
    """Base of the modules that are solved: `fit` gives a state, `load` takes it, and no path is theirs.

    The run keeps the state in one file, whose hash its record, the seal of its test split and a release name.
    """

    state_files = (f"{FOLDER}/fitted.safetensors",)

    @abstractmethod
    def fit(self, predict: Callable[[str], list[Any]], data: DataModule) -> Mapping[str, Any]:
        """The state, by name arrays of numbers or plain containers, from rows that are not measured.

        Args:
            predict: what `predict_step` gives for each batch of a split.
        """

    @abstractmethod
    def load(self, state: Mapping[str, Any]) -> None:
        """Be what `fit` has found; called after a fit as well as with a state that was read."""

    def training_logs(self) -> Mapping[str, pd.DataFrame]:
        """What else a fit leaves beside its run: tables by the name of their file, from the state alone."""
        return {}

    def attach_run(self, directory: Path) -> None:
        self._state_file = directory / self.state_files[0]
        if self._state_file.exists():
            self.load(read_state(self._state_file))

    def calibrate(self, predict: Callable[[str], list[Any]], data: DataModule) -> None:
        if not self._state_file.exists():
            write_state(self._state_file, self.fit(predict, data))
            self.load(read_state(self._state_file))  # as it will be read
        for name, table in self.training_logs().items():
            write_csv(self._state_file.parents[1] / f"{name}.csv", table)
