"""Rewritten texts of the bad cases, as extra training rows."""

import pandas as pd

from hallmark.analysis.augmentation.extra_rows import COLUMNS, check_transforms, extra_row, read_cases, show_counts
from hallmark.analysis.augmentation.text_transforms import TRANSFORMS, tidy
from hallmark.analysis.state import State

TABLE = "augment_text"


class AugmentText:
    """Write `augment_text.csv`: the bad cases of `bad_cases.csv` whose text a transform changes.

    Train on them with `data.extra=<path of augment_text.csv>`.

    Args:
        transforms: names of `text_transforms.TRANSFORMS`; each one alone gives a row.
        skip_label_issues: leave out cases whose label is in doubt, as more copies would teach it.
    """

    def __init__(self, transforms: list[str], *, skip_label_issues: bool) -> None:
        check_transforms(transforms, list(TRANSFORMS))
        self.transforms, self.skip_label_issues = list(transforms), skip_label_issues

    def run(self, state: State) -> None:
        cases = read_cases(state.directory, "text", wanted_by=TABLE, skip_label_issues=self.skip_label_issues)
        rows = [
            extra_row(case, name, image=case.get("path", ""), text=text)
            for case in cases
            for name in self.transforms
            if (text := TRANSFORMS[name](case["text"])) and text != tidy(case["text"])
        ]
        table = pd.DataFrame(rows, columns=COLUMNS)
        state.save_table(TABLE, table)
        show_counts("Rewritten texts", table)
