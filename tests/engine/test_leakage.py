"""A fixed split that tears one tweet or one picture apart stops the run, or marks it for ever."""

from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from hallmark.data.leakage import LeakageError
from hallmark.runs.record import RunState

pytestmark = pytest.mark.e2e

TFIDF = "experiment=sentiment_tfidf"
KINDS = {"text": "duplicate text", "bytes": "identical image", "encoding": "near-duplicate image"}


@pytest.fixture
def torn(corpus, tmp_path, fit) -> tuple[list[str], dict[str, tuple[str, str]]]:
    """Overrides for a split that tears three pairs, and the pairs by what their rows share."""
    splits = pd.read_csv(fit(TFIDF, f"data.folder={corpus}").directory / "splits.csv", dtype=str)
    alone = splits[~splits["group"].duplicated(keep=False)]
    train, validation = (alone.loc[alone["split"] == split, "id"].tolist() for split in ("train", "val"))
    pairs = {kind: (train[position], validation[position]) for position, kind in enumerate(KINDS)}
    copy_text(corpus, *pairs["text"])
    copy_picture(corpus, *pairs["bytes"])
    reencode_picture(corpus, *pairs["encoding"])
    file = tmp_path / "split.csv"
    splits[splits["split"] != "predict"].to_csv(file, index=False)
    return [TFIDF, f"data.folder={corpus}", "data/split=from_file", f"data.split.path={file}"], pairs


def copy_text(corpus: Path, source: str, target: str) -> None:
    text = (corpus / "data" / f"{source}.txt").read_bytes().decode("utf-8", errors="replace").strip()
    (corpus / "data" / f"{target}.txt").write_text(f"RT @someone: {text.upper()} !!")


def copy_picture(corpus: Path, source: str, target: str) -> None:
    (corpus / "data" / f"{target}.jpg").write_bytes((corpus / "data" / f"{source}.jpg").read_bytes())


def reencode_picture(corpus: Path, source: str, target: str) -> None:
    written = BytesIO()
    with Image.open(corpus / "data" / f"{source}.jpg") as picture:
        picture.resize((picture.width * 3 // 2, picture.height * 3 // 2)).save(written, "JPEG", quality=60)
    (corpus / "data" / f"{target}.jpg").write_bytes(written.getvalue())


def test_the_gate_stops_the_run_and_lists_the_pairs(fit, run_of, torn):
    overrides, pairs = torn
    with pytest.raises(LeakageError) as error:
        fit(*overrides)
    for kind, (first, second) in pairs.items():
        lines = [line for line in str(error.value).splitlines() if line.startswith(f"  {KINDS[kind]}: ")]
        assert any(f"{first} (train)" in line and f"{second} (val)" in line for line in lines)
    assert "data.leakage=report" in str(error.value)
    run = run_of(*overrides)
    assert run.record.state is RunState.FAILED
    assert "LeakageError" in run.record.error
    assert not run.best.exists()
    table = pd.read_csv(run.directory / "leakage.csv", dtype=str)
    assert set(KINDS.values()) <= set(table["kind"])
    leaks = {(row.kind, frozenset((row.first_id, row.second_id))) for row in table.itertuples()}
    assert {(KINDS[kind], frozenset(pair)) for kind, pair in pairs.items()} <= leaks


def test_report_goes_on_and_the_record_says_so(fit, torn):
    overrides, _ = torn
    run = fit(*overrides, "data.leakage=report")
    assert run.record.state is RunState.DONE
    assert run.record.leakage["action"] == "report"
    assert run.record.leakage["findings"] == len(pd.read_csv(run.directory / "leakage.csv"))
    checks = run.record.leakage["checks"]
    assert {checks[kind] for kind in KINDS.values()} == {"found"}
    assert checks["id"] == "clean"


def test_the_default_split_is_clean(fit):
    run = fit(TFIDF)
    assert run.record.leakage["action"] == "stop"
    assert run.record.leakage["findings"] == 0
    assert set(run.record.leakage["checks"].values()) == {"clean"}
    assert not (run.directory / "leakage.csv").exists()
