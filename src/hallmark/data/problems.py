"""What to do with a file or row that is not as it should be: listed by name, never silent."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pandas as pd

from hallmark.checks import require
from hallmark.storage.printing import shortened
from hallmark.storage.regular import UnsafePathError, check_name, path_below
from hallmark.wording import plural

_ID, _DETAIL = 1000, 500  # characters that are kept of a name and of a sentence


class Policy(StrEnum):
    """`fatal` stops with the list, `skip` leaves the row out, `keep` uses it as well as can be."""

    FATAL = "fatal"
    SKIP = "skip"
    KEEP = "keep"


@dataclass(frozen=True)
class Problem:
    """One finding: `kind` is a key of `data.on_problem`, `detail` a sentence that names the file."""

    id: str
    kind: str
    detail: str


class BadDataError(ValueError):
    """Rows that the configuration calls fatal."""


def complete_policies(
    policies: Mapping[str, str], kinds: Sequence[str], *, defaults: Mapping[str, str]
) -> dict[str, str]:
    """`policies` with those of `defaults` for kinds that a stored configuration does not name.

    Raises:
        SettingError: another kind is missing, or one is unknown.
    """
    complete = {**defaults, **policies}
    require(set(complete) == set(kinds), "on_problem", complete, f"a policy for each of {', '.join(kinds)}")
    return complete


def listed_id(row_id: str) -> str:
    """A row's id as its problems are listed under."""
    return shortened(row_id, _ID)


class Problems:
    """Findings of one data set and what the configuration says of each kind.

    Args:
        policies: `data.on_problem`, kind → fatal, skip or keep.
        repairable: kinds for which `keep` has a meaning.
    """

    def __init__(self, policies: Mapping[str, str], *, repairable: Iterable[str]) -> None:
        for kind, policy in policies.items():
            allowed = list(Policy) if kind in set(repairable) else [Policy.FATAL, Policy.SKIP]
            require(policy in allowed, f"on_problem.{kind}", policy, f"one of {', '.join(allowed)}")
        self._policies = {kind: Policy(policy) for kind, policy in policies.items()}
        self.found: list[Problem] = []

    def add(self, row_id: str, kind: str, detail: str) -> bool:
        """Note a finding; True if its row stays.

        What the row's id and file names hold that cannot be printed is written out, in one line.
        """
        self.found.append(Problem(listed_id(row_id), kind, shortened(detail, _DETAIL)))
        return self._policies[kind] is Policy.KEEP

    def add_unless_safe(
        self, row_id: str, *, folder: Path = Path(), files: Iterable[str] = (), where: str = ""
    ) -> bool:
        """True if a row stays: it has a plain name, and its files are in `folder`, wherever links lead."""
        try:
            check_name(row_id)
            for file in files:
                path_below(folder, file)
        except UnsafePathError as error:
            return self.add(row_id, "unsafe_path", f"{where}{error}")
        return True

    def raise_if_fatal(self) -> None:
        """Raise `BadDataError` with all fatal findings at once."""
        fatal = [problem for problem in self.found if self._policies[problem.kind] is Policy.FATAL]
        if fatal:
            lines = [f"  {problem.kind}: {problem.detail}" for problem in fatal[:20]]
            more = [f"  … and {len(fatal) - 20} more"] if len(fatal) > 20 else []
            kinds = " ".join(f"data.on_problem.{kind}=skip" for kind in sorted({p.kind for p in fatal}))
            advice = f"Correct these files, or leave the rows out with {kinds}"
            raise BadDataError("\n".join([f"{plural(len(fatal), 'bad row')}:", *lines, *more, advice]))

    def counts(self) -> dict[str, int]:
        return dict(sorted(Counter(problem.kind for problem in self.found).items()))

    def table(self) -> pd.DataFrame:
        """Columns id, kind, policy, detail."""
        rows = [(p.id, p.kind, str(self._policies[p.kind]), p.detail) for p in self.found]
        return pd.DataFrame(rows, columns=["id", "kind", "policy", "detail"])
