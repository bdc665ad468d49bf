"""A run whose configuration is changed, as a stranger may."""

import pytest
from omegaconf import OmegaConf

from hallmark.checks import SettingError
from hallmark.runs.run import Run

TFIDF = "experiment=sentiment_tfidf"


@pytest.fixture
def run(fitted) -> Run:
    return fitted(TFIDF)


@pytest.fixture
def changed(run):
    """A function that writes a value into the run's configuration, as a stranger may."""

    def changed(key: str, value) -> Run:
        path = run.directory / "config.yaml"
        config = OmegaConf.load(path)
        OmegaConf.update(config, key, value, merge=False, force_add=True)
        path.write_text(OmegaConf.to_yaml(config))
        return run

    return changed


def refused(key: str, command, *arguments) -> SettingError:
    with pytest.raises(SettingError) as caught:
        command(*arguments)
    assert caught.value.key == key
    return caught.value
