"""`record.json`: what a run was, what it stood on and how it ended."""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from hallmark.runs.metrics import UNLABELLED
from hallmark.storage.files import read_json, write_json


class RunState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@dataclass
class Provenance:
    """What a result depends on besides its configuration.

    Attributes:
        data: fingerprint of the samples and their split; `code`: hash by source file.
    """

    data: str
    code: dict[str, str]

    def differences(self, other: "Provenance", *, any_code: bool = False) -> list[str]:
        """Sentences that say how `other` differs, empty when it does not; `any_code` leaves the code out."""
        names = sorted(self.code.keys() | other.code.keys())
        changed = [name for name in names if self.code.get(name) != other.code.get(name)]
        differences = [f"code: {', '.join(changed)}"] if changed and not any_code else []
        if self.data != other.data:
            differences.append(f"data: fingerprint {self.data[:12]} then, {other.data[:12]} now")
        return differences


@dataclass
class Record:
    """The record as it stands on disk; times are in seconds, `parameters` are counted in all and as far as trained.

    Attributes:
        warnings: sentences that everybody must read who uses the answers.
        parents: by role what each was and is kept as (`hallmark.runs.parents`); of an earlier version, which kept none,
            the `source` of `init_from` alone.
        weights: hashes of the selected checkpoint: `tensors` of its content, `file` of its bytes; None where there is
            none, or an earlier version made the run.
        fitted_on: splits whose rows were read while it was fitted, calibrated and selected; None in an earlier version.
        fitted: hashes of the files of its fitted state by name, where nothing is trained by steps (`runs/fitted.py`).
        calls: of outside services by phase (calibration, a split, a perturbed split), with the failed ones by kind.
        seals: absolute folder of the records of test accesses, so that a copy of the run elsewhere still knows of them.
    """

    name: str
    run_id: str
    state: RunState
    provenance: Provenance
    seed: int
    command: list[str]
    started: str
    git: dict[str, Any]
    versions: dict[str, str]
    device: dict[str, Any]
    splits: dict[str, Any]
    leakage: dict[str, Any]
    problems: dict[str, int] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)
    parents: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, str] | None = None
    fitted_on: list[str] | None = None
    fitted: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    calls: dict[str, Any] = field(default_factory=dict)
    wall_seconds: float = 0.0
    resumed: int = 0
    selected: dict[str, Any] | None = None
    seals: str | None = None
    error: str | None = None
    finished: str | None = None

    @property
    def main_split(self) -> str:
        """What a run is measured on: val, or where no row is labelled predict, whose rows are only answered."""
        return "val" if "val" in self.splits else UNLABELLED

    def write(self, directory: Path) -> None:
        write_json(directory / "record.json", asdict(self))

    @classmethod
    def read(cls, directory: Path) -> "Record | None":
        """The record of `directory`, or None where none was written.

        Raises:
            ValueError: the file is not a record of this version.
        """
        path = directory / "record.json"
        if not path.exists():
            return None
        try:
            raw = read_json(path)
            provenance, state = Provenance(**raw.pop("provenance")), RunState(raw.pop("state"))
            parents = _by_role(raw.pop("parents", {}))
            return cls(**raw, provenance=provenance, state=state, parents=parents)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path}: not a run record of this version ({type(error).__name__}: {error})") from error


def lineage(parents: Any) -> dict[str, str]:
    """What a record says of its parents in a few words by role, such as `clip_probe/0a1b2c3d (weights)`."""
    return {role: _in_words(entry) for role, entry in _by_role(parents or {}).items()}


def _in_words(entry: dict[str, Any]) -> str:
    if "run_id" not in entry:
        return str(entry["source"])
    use = f" ({entry['use']})" if "use" in entry else ""
    return f"{entry['name']}/{entry['run_id']}{use}"


def _by_role(parents: Any) -> dict[str, Any]:
    """The parents of a record by role; an earlier version listed the path of the run that gave the first weights."""
    if isinstance(parents, list):
        return {"init_from": {"source": str(parents[0])}} if parents else {}
    return dict(parents)
