from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

FOLDER = Path(__file__).parents[2] / "conf" / "analysis"
STATISTICS = OmegaConf.load(FOLDER.parent / "statistics" / "default.yaml")


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_every_analysis_builds_from_its_file_under_its_own_name(name):
    config = OmegaConf.load(FOLDER / f"{name}.yaml")
    if name == "compare":
        assert OmegaConf.is_missing(config.compare, "baseline")
        config.compare.baseline = "outputs/somewhere"
    assert list(config) == [name]
    config.statistics = STATISTICS
    assert callable(instantiate(config)[name].run)
