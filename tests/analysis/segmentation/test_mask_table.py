import pytest
from tests.analysis.segmentation.scenes import overlaps

from hallmark.analysis.segmentation.mask_table import MaskTable
from hallmark.checks import SettingError
from hallmark.statistics import Resampling

SETTINGS = Resampling(0.9, 60, 3)
# IoU 0.5, 1, 0, 0.25 of two images, and a job that is right on the second image.
PLAIN, BETTER = [(1, 2), (4, 4), (0, 3), (1, 4)], [(1, 2), (4, 4), (0, 0), (4, 4)]
TARGETS = [2, 4, 0, 4]  # the third has none
IMAGES = ["a", "a", "b", "b"]


@pytest.fixture
def jobs():
    return {
        "one_shot": overlaps({"main": PLAIN, "oracle": BETTER}, groups=IMAGES, target_area=TARGETS),
        "loop": overlaps(
            {"main": BETTER, "one_shot": PLAIN}, groups=IMAGES, target_area=TARGETS, info_calls=2, info_iterations=1
        ),
        "same": overlaps({"main": PLAIN}, groups=IMAGES, target_area=TARGETS),
    }


def test_answers_stand_beside_each_other_and_against_the_baseline(jobs):
    table = MaskTable("one_shot", statistics=SETTINGS).table(jobs).set_index("job")
    assert table["miou"].tolist() == pytest.approx([1.75 / 4, 3.5 / 4, 1.75 / 4])
    assert table["oiou"].tolist() == pytest.approx([6 / 13, 9 / 10, 6 / 13])
    assert table["target_miou"].tolist() == pytest.approx([1.75 / 3, 2.5 / 3, 1.75 / 3])
    assert table["no_target_accuracy"].tolist() == [0, 1, 0]
    assert table.loc[["loop", "same"], "difference"].tolist() == pytest.approx([1.75 / 4, 0])
    assert table.loc[["loop", "same"], "target_difference"].tolist() == pytest.approx([0.75 / 3, 0])
    assert table.loc["one_shot", ["difference", "target_difference", "target_difference_p_holm"]].isna().all()
    assert table.loc["loop", ["calls", "iterations", "n", "n_no_target", "n_groups"]].tolist() == [2, 1, 4, 1, 2]
    assert (table["difference_p_holm"].dropna() == 1).all()  # of two images no difference shows


def test_readers_get_text_and_a_figure(jobs, tmp_path):
    analysis = MaskTable("one_shot", statistics=SETTINGS)
    table = analysis.timed(analysis.table(jobs), {"one_shot": 3.0, "loop": 5.0, "same": 4.0})
    lines = analysis.markdown(table).splitlines()
    assert lines[0].startswith("Split `val`; value [90 % interval].")
    assert lines[2] == (
        "| job | mIoU | mIoU: job − one_shot | p | p (Holm) | target mIoU | no target accuracy | calls | seconds "
        "| verdict |"
    )
    assert lines[5].startswith("| loop | 0.875 ") and "| +0.438 " in lines[5] and "| 2.00 | 5 | loop" in lines[5]
    figure = analysis.figure(table)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["one_shot", "loop", "same"]


def test_a_baseline_that_is_no_job_is_refused(jobs):
    with pytest.raises(SettingError, match=r"baseline.*one of the jobs one_shot, loop, same"):
        MaskTable("other", statistics=SETTINGS).check_jobs(list(jobs))


def test_jobs_of_other_expressions_are_refused(jobs):
    jobs["loop"] = jobs["loop"].iloc[1:].reset_index(drop=True)
    jobs["loop"].attrs = jobs["same"].attrs
    with pytest.raises(ValueError, match="same labelled ids"):
        MaskTable("one_shot", statistics=SETTINGS).table(jobs)
