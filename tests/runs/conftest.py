from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.runs.accessing import Maker

from hallmark.runs.access_folders import absolute_folder
from hallmark.runs.record import Provenance, Record, RunState
from hallmark.runs.run import Run
from hallmark.storage.files import write_text


@pytest.fixture(scope="session")
def make_record() -> Callable[..., Record]:
    def make(**changes: Any) -> Record:
        fields: dict[str, Any] = {
            "name": "clip_final",
            "run_id": "0123abcd",
            "state": RunState.RUNNING,
            "provenance": Provenance("d" * 32, {"data/splits.py": "aa", "learning/optim.py": "bb"}),
            "seed": 1,
            "command": ["python", "train.py", "experiment=clip_final"],
            "started": "2026-01-01T00:00:00+00:00",
            "git": {"commit": None, "dirty": None},
            "versions": {"torch": "2"},
            "device": {"device": "cpu"},
            "splits": {"train": {"n": 3}},
            "leakage": {},
        }
        return Record(**{**fields, **changes})

    return make


@pytest.fixture
def make_run(tmp_path: Path, make_record: Callable[..., Record]) -> Maker:
    """A function from a run id and what differs to a finished run below `outputs/<name>`.

    Its rows are given by their contents, `test` and `train`; without `test` it is of a version that did not store them.
    """

    def make(
        run_id: str = "aaaa", *, name: str = "clip_final", content: str = "c" * 32, weights: bytes = b"",
        seals: str | None = None, outputs: Path | None = None, test: Iterable[str] | None = None,
        train: Iterable[str] = (), settings: str = "",
    ) -> Run:  # fmt: skip
        outputs = outputs or tmp_path / "outputs"
        directory = outputs / name / run_id
        (directory / "checkpoints").mkdir(parents=True)
        (directory / "checkpoints" / "best.ckpt").write_bytes(weights or run_id.encode())
        folder = seals or outputs / "seals"
        paths = f"{{outputs: {outputs}, seals: {folder}, run_dir: null}}"
        text = f"name: {name}\npaths: {paths}\n{settings or f'id: {run_id}'}\n"
        (directory / "config.yaml").write_text(text, encoding="utf-8")
        if test is not None:
            rows = [*((row, "test") for row in test), *((row, "train") for row in train)]
            lines = [f"{number},g,y,{split},{row}" for number, (row, split) in enumerate(rows)]
            write_text(directory / "splits.csv", "\n".join(["id,group,target,split,content", *lines, ""]))
        split = {"test": {"n": 8, "hash": f"split of {run_id}"}}
        record = make_record(
            run_id=run_id, name=name, state=RunState.DONE, splits=split, data={"content": content},
            seals=str(absolute_folder(outputs, folder)) if test is not None else None,
        )  # fmt: skip
        record.write(directory)
        return Run(directory)

    return make
