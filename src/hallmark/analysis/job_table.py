"""What a table of a sweep's listed jobs is."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import pandas as pd
from matplotlib.figure import Figure


class JobTable(Protocol):
    """Compares jobs by their stored predictions.

    Attributes:
        stem: of its files; split: whose predictions are compared.
    """

    stem: str
    split: str

    def check_jobs(self, names: Sequence[str]) -> None:
        """Raise `SettingError` unless the jobs that the table needs are among `names`."""

    def table(self, predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """The table, from predictions by name of the job; raises ValueError where they cannot be compared."""

    def timed(self, table: pd.DataFrame, seconds: Mapping[str, float]) -> pd.DataFrame:
        """`table` with what each line took."""

    def summary(self, table: pd.DataFrame) -> pd.DataFrame:
        """As text that fits a terminal."""

    def markdown(self, table: pd.DataFrame) -> str: ...

    def figure(self, table: pd.DataFrame) -> Figure: ...

    def note(self) -> str:
        """What the numbers are."""
