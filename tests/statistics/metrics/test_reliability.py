import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.statistics import Resampling, metric_interval, reliability_bins
from hallmark.statistics.metrics.reliability import expected_calibration_error

RESAMPLING = Resampling(confidence_level=0.95, n_resamples=100, seed=0)
ROWS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


def test_bins_of_a_hand_made_table() -> None:
    table = reliability_bins([0.1, 0.3, 0.6, 0.7, 0.9], [0, 1, 1, 0, 1], 4, range(5), resampling=RESAMPLING)
    assert table["low"].tolist() == [0.0, 0.25, 0.5, 0.75]
    assert table["high"].tolist() == [0.25, 0.5, 0.75, 1.0]
    assert table["n"].tolist() == [1, 1, 2, 1]
    assert table["confidence"].tolist() == pytest.approx([0.1, 0.3, 0.65, 0.9])
    assert table["accuracy"].tolist() == [0.0, 1.0, 0.5, 1.0]


def test_intervals_resample_the_groups_of_a_bin(make_scores) -> None:
    """Rows of one group are right or wrong together; 30 rows of 6 groups lie in the second bin."""
    groups = np.concatenate([np.arange(30) % 6, np.full(4, 9)])
    correct = np.concatenate([np.arange(30) % 6 < 4, np.ones(4)])
    confidence = np.concatenate([np.full(30, 0.7), np.full(4, 0.2)])
    table = reliability_bins(confidence, correct, 2, groups, resampling=RESAMPLING)
    expected = metric_interval(make_scores(correct[:30], groups[:30]), "score", resampling=RESAMPLING)
    assert table.loc[1, ["accuracy_low", "accuracy_high"]].tolist() == [expected.low, expected.high]
    of_rows = metric_interval(make_scores(correct[:30]), "score", resampling=RESAMPLING)
    assert expected.high - expected.low > 1.5 * (of_rows.high - of_rows.low)
    assert table["n_groups"].tolist() == [1, 6]
    assert np.isnan(table.loc[0, ["accuracy_low", "accuracy_high"]].to_numpy(dtype=float)).all()


def test_edges_belong_to_the_bin_below_and_zero_to_the_first() -> None:
    assert reliability_bins([0.0, 0.25, 0.5, 0.75, 1.0], [1] * 5, 4, range(5), resampling=RESAMPLING)["n"].tolist() == [
        2,
        1,
        1,
        1,
    ]


def test_empty_bins_say_so() -> None:
    table = reliability_bins([0.9], [1], 2, ["a"], resampling=RESAMPLING)
    assert table["n"].tolist() == [0, 1]
    values = table.loc[0, ["confidence", "accuracy", "accuracy_low", "accuracy_high"]]
    assert np.isnan(values.to_numpy(dtype=float)).all()


def test_no_rows_leave_every_bin_empty() -> None:
    assert reliability_bins([], [], 3, [], resampling=RESAMPLING)["n"].tolist() == [0, 0, 0]


def test_error_of_a_hand_made_table() -> None:
    # bins (0, .5] and (.5, 1]: 2/5 * |1/2 - .2| + 3/5 * |2/3 - 2.2/3|
    error = expected_calibration_error([0.1, 0.3, 0.6, 0.7, 0.9], [0, 1, 1, 0, 1], 2)
    assert error == pytest.approx(0.4 * 0.3 + 0.6 * 0.2 / 3)


def test_error_of_calibrated_and_of_overconfident_rows() -> None:
    assert expected_calibration_error([0.75] * 4, [1, 1, 1, 0], 15) == pytest.approx(0)
    assert expected_calibration_error([1.0] * 4, [0] * 4, 15) == pytest.approx(1)


@given(ROWS, st.integers(1, 20))
def test_error_is_the_weighted_gap_of_the_diagram(rows: list[tuple[float, bool]], bins: int) -> None:
    confidence, correct = zip(*rows, strict=True)
    table = reliability_bins(confidence, correct, bins, range(len(correct)), resampling=RESAMPLING).query("n > 0")
    gaps = (table["accuracy"] - table["confidence"]).abs()
    assert table["n"].sum() == len(rows)
    assert table["confidence"].between(table["low"] - 1e-12, table["high"] + 1e-12).all()
    assert expected_calibration_error(confidence, correct, bins) == pytest.approx((gaps * table["n"]).sum() / len(rows))


@given(ROWS, st.integers(1, 20), st.randoms())
def test_error_does_not_depend_on_row_order(rows: list[tuple[float, bool]], bins: int, random: object) -> None:
    shuffled = rows.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    values = [expected_calibration_error(*zip(*part, strict=True), bins) for part in (rows, shuffled)]
    assert values[0] == pytest.approx(values[1], abs=1e-12)


@pytest.mark.parametrize(
    ("confidence", "correct", "bins", "message"),
    [
        ([1.2], [1], 5, r"1 of 1 confidences are outside \[0, 1\]"),
        ([float("nan")], [1], 5, "outside"),
    ],
)
def test_refuses(confidence: list[float], correct: list[float], bins: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        expected_calibration_error(confidence, correct, bins)
