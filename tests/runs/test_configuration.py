"""The setting of resampling, as configurations hold it."""

import pytest
from omegaconf import OmegaConf

from hallmark.runs.configuration import default_resampling, resampling_of, stored_resampling
from hallmark.statistics import Resampling

STORED = {"_target_": "hallmark.statistics.Resampling", "confidence_level": 0.9, "n_resamples": 100, "seed": 3}


def test_a_run_folder_holds_it_and_an_older_one_has_that_of_the_project(tmp_path):
    assert stored_resampling(tmp_path) == default_resampling() == Resampling(0.95, 2000, 0)
    OmegaConf.save({"name": "old"}, tmp_path / "config.yaml")
    assert stored_resampling(tmp_path) == default_resampling()
    OmegaConf.save({"statistics": STORED}, tmp_path / "config.yaml")
    assert stored_resampling(tmp_path) == Resampling(0.9, 100, 3)


def test_the_projects_own_file_counts_before_that_of_the_sources(tmp_path, monkeypatch):
    (tmp_path / "conf" / "statistics").mkdir(parents=True)
    (tmp_path / "conf" / "train.yaml").touch()
    OmegaConf.save(STORED, tmp_path / "conf" / "statistics" / "default.yaml")
    monkeypatch.chdir(tmp_path)
    assert resampling_of({}) == Resampling(0.9, 100, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"confidence_level": "much"}, "^statistics.confidence_level='much'"),
        ({"confidence_level": 1.0}, "^statistics.confidence_level=1.0"),
        ({"n_resamples": 3}, "^statistics.n_resamples=3: expected at least 20"),
        ({"n_resamples": 100.5}, "^statistics.n_resamples=100.5"),
        ({"repeats": 5}, "^statistics.repeats=5: expected no such key; there are confidence_level, n_resamples, seed"),
        ({"seed": None}, "^statistics.seed=None"),
        ({"_target_": "os.system"}, "^statistics._target_='os.system'"),
    ],
)
def test_nonsense_is_refused_by_its_key(changes, message):
    with pytest.raises(ValueError, match=message):
        resampling_of({"statistics": {**STORED, **changes}})
    with pytest.raises(ValueError, match=r"^statistics=5"):
        resampling_of({"statistics": 5})
