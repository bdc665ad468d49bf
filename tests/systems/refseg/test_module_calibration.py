"""Temperature and thresholds of the module: fitted on their split alone, written down, read again."""

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.systems.refseg.parts import BLUE, GREEN, LAYOUT, RED, SYNONYMS, ColourProposer, Picture

from hallmark.checks import SettingError
from hallmark.data.masks import Proposals, encode
from hallmark.systems.refseg.calibration import fit_ranking_temperature
from hallmark.systems.refseg.loop import ALWAYS, NEVER, Thresholds
from hallmark.systems.refseg.vlm.policies import RuleNormaliser

CALIBRATION = [
    Picture("k", "calibration", {"crimson": RED, "red": RED, "green": GREEN, "azure": BLUE, "blue": BLUE}),
    Picture("l", "calibration", {"the blue": BLUE, "yellow": (0, 0, 1, 1)}),  # no proposal is near that
    Picture("m", "calibration", {"red": RED}, drawn={}),
    Picture("v", "val", {"crimson": RED, "red": RED}),
    Picture("t", "test", {"azure": BLUE}),
]
TRAINED = [([6, 0, 8, 0], 0), ([10, 0, 0, 0], 0), ([0, 10, 0, 0], 1), ([8, 0, 6, 0], 2), ([0, 0, 10, 0], 2),
           ([0, 0, 10, 0], 2)]  # fmt: skip


@pytest.fixture
def calibrated(data_of, module_of, predict, run_directory):
    """A function from changed settings to a module that was calibrated, and the splits that it asked for."""

    def calibrated(pictures=CALIBRATION, **changes):
        data, splits = data_of(pictures), []

        def asking(split):
            splits.append(split)
            return predict(module, data, split)

        module = module_of(**({"rewriter": RuleNormaliser(SYNONYMS), "max_iter": 2} | changes))
        module.attach_run(run_directory)
        module.calibrate(asking, data)
        return module, data, splits

    return calibrated


def test_calibration_is_fitted_on_its_split_alone(calibrated, predict, run_directory):
    proposer = ColourProposer()
    module, data, splits = calibrated(proposer=proposer)
    assert splits == ["calibration", "calibration"] and len(proposer.seen) == 3
    expected = fit_ranking_temperature([np.array(row, float) for row, _ in TRAINED], [best for _, best in TRAINED])
    assert module.temperature == pytest.approx(expected)
    written = json.loads((run_directory / "calibration.json").read_text())
    assert written["temperature"] == module.temperature and written["split"] == "calibration" and written["n"] == 8
    assert written["expected"]["miou"] == pytest.approx(6 / 8)  # all but the yellow one and the one without proposals
    assert written["expected"]["calls"] == pytest.approx(2 / 8)  # crimson and azure, once each
    table = module.table(predict(module, data, "val"), data, "val")
    rows = table[table["task"] == "main"].set_index("info_sentence")
    assert rows.loc["crimson", "score"] == 1 and rows.loc["crimson", "info_calls"] > 0
    assert rows.loc["red", "info_calls"] == 0 and rows.loc["red", "info_stop"] == "confident"


def test_what_val_and_test_hold_changes_no_calibration(calibrated, run_directory, tmp_path):
    first, _, _ = calibrated()
    (run_directory / "calibration.json").unlink()
    others = [
        picture
        if picture.split == "calibration"
        else replace(picture, sentences={"azure": RED}, drawn={"blue": LAYOUT["blue"]})
        for picture in CALIBRATION
    ]
    (tmp_path / "world").rename(tmp_path / "before")
    second, _, _ = calibrated(others)
    assert (second.temperature, second.thresholds) == (first.temperature, first.thresholds)


def test_a_calibration_is_read_again_and_not_fitted_again(calibrated, module_of, run_directory):
    first, data, _ = calibrated()
    content = (run_directory / "calibration.json").read_bytes()
    again = module_of(rewriter=RuleNormaliser(SYNONYMS), max_iter=2)
    again.attach_run(run_directory)
    again.calibrate(lambda split: pytest.fail(f"{split} was predicted"), data)
    assert (again.temperature, again.thresholds) == (first.temperature, first.thresholds)
    assert (run_directory / "calibration.json").read_bytes() == content


def test_what_is_given_is_not_fitted(calibrated, run_directory):
    thresholds = Thresholds(0.25, 0.5)
    module, _, splits = calibrated(temperature=2.5, thresholds=thresholds)
    assert (module.temperature, module.thresholds, splits) == (2.5, thresholds, [])
    assert [path.name for path in run_directory.iterdir()] == ["model.json"]


def test_half_of_a_calibration_can_be_given(calibrated, run_directory, tmp_path):
    module, _, splits = calibrated(thresholds=Thresholds(0.25, 0.5))
    assert module.thresholds == Thresholds(0.25, 0.5) and splits == ["calibration"]
    assert json.loads((run_directory / "calibration.json").read_text())["expected"] is None
    for name in ("calibration.json", "model.json"):
        (run_directory / name).unlink()
    (tmp_path / "world").rename(tmp_path / "before")
    module, _, splits = calibrated(temperature=2.5)
    assert module.temperature == 2.5 and splits == ["calibration"] and module.thresholds not in (NEVER, ALWAYS)


def test_a_budget_of_no_calls_never_rewrites(calibrated):
    module, _, _ = calibrated(budget=0.0)
    assert module.thresholds == NEVER


@pytest.mark.parametrize("given", [{}, {"temperature": 1.0}, {"thresholds": NEVER}])
def test_without_rows_to_calibrate_on(calibrated, given):
    with pytest.raises(SettingError, match=r"data\.split\.calibration=0: expected a share .*model\.temperature"):
        calibrated([picture for picture in CALIBRATION if picture.split != "calibration"], **given)


class Halves(ColourProposer):
    """The upper quarter of each mask."""

    trained_on = "the generated sample of shapes"

    def propose(self, image):
        proposals = super().propose(image)
        masks = proposals.masks()
        for mask in masks:
            rows = np.flatnonzero(mask.any(axis=1))
            mask[rows[len(rows) // 4] :] = False
        return Proposals.of(encode(masks), proposals.scores, proposals.size)


def test_without_a_proposal_near_an_object_the_cause_is_named(calibrated):
    pictures = [
        Picture("k", "calibration", {"red": RED, "blue": BLUE}),
        Picture("v", "val", {"red": RED}),
    ]
    with pytest.raises(SettingError) as refused:
        calibrated(pictures, proposer=Halves())
    assert (refused.value.key, refused.value.value) == ("model.temperature", None)
    # Two of eight rows of the red square, one of six of the blue.
    for part in ("of 2 expressions", "IoU of 0.5", "has 0.25", "Halves", Halves.trained_on, "profile=full"):
        assert part in refused.value.expected


def test_a_damaged_calibration_is_named(module_of, run_directory):
    (run_directory / "calibration.json").write_text("{}")
    with pytest.raises(ValueError, match=r"calibration\.json: not a calibration of the loop"):
        module_of().attach_run(run_directory)
