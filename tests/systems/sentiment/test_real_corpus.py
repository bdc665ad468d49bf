"""The whole corpus of tweets, where it lies beside the project."""

import pandas as pd
import pytest

from hallmark.data.splits import Holdout
from hallmark.storage.decoding import decode_bytes

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def folder(real_data):
    folder = real_data / "sentiment"
    if not folder.is_dir():
        pytest.skip(f"no corpus in {folder}")
    return folder


def test_every_text_is_read_as_utf8_or_as_gb18030_and_four_are_in_doubt(folder, module_of):
    paths = sorted((folder / "data").glob("*.txt"))
    changed, not_utf8 = [], 0
    for path in paths:
        raw = path.read_bytes()
        try:
            expected = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            expected, not_utf8 = raw.decode("gb18030", errors="replace"), not_utf8 + 1
        changed += [path.name] * (decode_bytes(raw).text != expected)
    assert (len(paths), not_utf8, changed) == (3724, 872, [])
    doubted = {problem.id for problem in module_of(folder).problems.found if problem.kind == "uncertain_encoding"}
    assert doubted == {"3323", "4499", "4657", "5084"}


def test_the_whole_corpus_loads_and_every_split_is_clean(module_of, folder, tmp_path):
    data = module_of(folder)
    rows = data.samples
    assert rows["target"].notna().sum() == 3213
    assert (rows["split"] == "predict").sum() == 511
    assert not rows["text"].str.contains("\ufffd").any()
    assert (rows["text"] != "").all()
    assert rows["group"].nunique() < len(rows)
    for seed in range(3):
        data.split_plan = Holdout(0.1, 0.1, seed)
        labeled = rows[rows["target"].notna()].reset_index(drop=True)
        data.samples.loc[rows["target"].notna(), "split"] = data.split_plan.assign(labeled)
        entry = data.check(tmp_path / f"split-{seed}")
        assert entry["findings"] == 0
        assert set(entry["checks"].values()) == {"clean"}
        written = pd.read_csv(tmp_path / f"split-{seed}" / "splits.csv", dtype=str)
        assert written["split"].value_counts()["val"] == pytest.approx(321, abs=15)
