"""Every system is released and verified, as a set of repeats and as one run, after one access to the test split."""

import pytest
from tests.engine.releasing import count, released
from tests.engine.test_ready import KNOWN, WORLD
from tests.systems.refseg.parts import preset, write_world

from hallmark.engine.config.trust import Trust
from hallmark.engine.job import Job
from hallmark.engine.release.readiness import CHECKS
from hallmark.engine.release.verify import verify
from hallmark.engine.repeats import train_repeats
from hallmark.runs.archive import unpack
from hallmark.runs.repeats import RepeatSet
from hallmark.runs.run import Run
from hallmark.runs.seal import accesses_of

pytestmark = pytest.mark.e2e

SYSTEMS = {
    "sentiment": ["experiment=sentiment_tfidf"],
    "touch": ["experiment=touch_equal", "trainer.max_epochs=1"],
    "refseg": ["experiment=refseg_loop"],
}


@pytest.fixture
def trained(compose, small_of, tmp_path):
    """A function from the name of a system to a finished set of two of its runs."""

    def trained(system: str) -> RepeatSet:
        overrides = SYSTEMS[system]
        if system == "refseg":
            source = write_world(tmp_path / "world", WORLD)
            overrides = preset("refseg_loop", source, *KNOWN, f"paths.cache={tmp_path / 'cache'}")
        else:
            overrides = [*overrides, *small_of(overrides[0].removeprefix("experiment="))]
        config = compose(*overrides, "repeat=seeds:2")
        train_repeats(config)
        return RepeatSet(Job.of(config).directory)

    return trained


@pytest.fixture
def trust(compose, tmp_path) -> Trust:
    """In the classes of these tests, which the hand-made world of refseg needs."""
    return Trust.of(compose("trusted_packages=[tests]", f"paths.cache={tmp_path / 'cache'}", command="evaluate"))


def members(repeats: RepeatSet) -> list[Run]:
    return [member.run for member in repeats.members]


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_is_released_and_verified(trust, trained, system):
    repeats = trained(system)
    runs = members(repeats)
    archive = released(repeats, *CHECKS, tagged=False, trust=trust)
    assert all(set(run.metrics) == {"val", "test"} for run in runs)
    verified = verify(archive)
    assert verified.metrics == count(*runs) > 0
    assert (verified.tensors == 0) == (system == "refseg")
    (access,) = accesses_of(repeats)
    assert access.covers(runs)
    archive_of_one = released(runs[0], *CHECKS, tagged=False, trust=trust)
    assert verify(archive_of_one).metrics == count(runs[0]) and verify(archive_of_one).tensors * 2 == verified.tensors
    assert accesses_of(repeats) == [access]


def test_a_run_in_which_nothing_is_fitted_holds_its_calibration_and_no_weights(trust, trained, tmp_path):
    repeats = trained("refseg")
    archive = released(repeats, *CHECKS, tagged=False, trust=trust)
    root = unpack(archive, tmp_path / "there")
    for run in members(repeats):
        unpacked = root / "runs" / run.directory.name
        assert (unpacked / "calibration.json").read_bytes() == (run.directory / "calibration.json").read_bytes()
        assert not (unpacked / "weights.safetensors").exists() and not (unpacked / "checkpoints").exists()


def test_a_calibration_that_cannot_be_read_stops_the_release_before_the_look(trust, trained):
    repeats = trained("refseg")
    (members(repeats)[1].directory / "calibration.json").write_text("{}")
    with pytest.raises(ValueError, match=r"calibration\.json was changed"):
        released(repeats, *CHECKS, tagged=False, trust=trust)
    assert accesses_of(repeats) == []
