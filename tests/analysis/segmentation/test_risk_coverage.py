from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from tests.analysis.segmentation.scenes import Scenes, overlaps

from hallmark.analysis.segmentation.risk_coverage import RiskCoverage, aurc, curve, risk_figure
from hallmark.statistics import Resampling
from hallmark.statistics.metrics.classification import ECE_BINS
from hallmark.statistics.metrics.reliability import expected_calibration_error
from hallmark.storage.files import read_json

RESAMPLING = Resampling(0.9, 100, 0)
# IoU 0.8, 0, 1 and 0.5; the second and the third are equally sure
PAIRS, SURE = [(4, 5), (0, 4), (3, 3), (1, 2)], [0.9, 0.7, 0.7, 0.2]


@pytest.fixture
def rows():
    return overlaps({"main": PAIRS}, confidence=SURE)


def test_areas_by_hand(rows):
    # 1 - IoU in order: 0.2, then 1 and 0 in random order, then 0.5
    expected = (0.2 + 0.7 / 2 + 1.2 / 3 + 1.7 / 4) / 4
    metrics = RiskCoverage(10, statistics=RESAMPLING).summary(rows)
    assert metrics["aurc"].estimate == pytest.approx(expected)
    assert metrics["aurc_failure"].estimate == pytest.approx((0 + 0.5 / 2 + 1 / 3 + 1 / 4) / 4)
    assert metrics["auroc"].estimate == pytest.approx(1.5 / 3)  # above it one of the right ones, at it one, below one
    # bins (0.1, 0.2], (0.6, 0.7], (0.8, 0.9]: |0.2 - 1|, 2 · |0.7 - 0.5|, |0.9 - 1|
    assert metrics["ece"].estimate == pytest.approx((0.8 + 0.4 + 0.1) / 4)


def test_the_curve_has_a_point_for_every_confidence(rows):
    points = curve(rows)
    assert points["confidence"].tolist() == [0.9, 0.7, 0.2]
    assert points["coverage"].tolist() == [0.25, 0.75, 1.0]
    assert points["risk"].tolist() == pytest.approx([0.2, 0.4, 0.425])
    assert points["failure"].tolist() == pytest.approx([0, 1 / 3, 0.25])


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(0, 2)), min_size=1, max_size=4
    )
)
def test_the_area_of_weighted_rows_is_the_mean_over_orders_of_repeated_rows(weighted_rows):
    confidence, risk, weights = (np.array(column, float) for column in zip(*weighted_rows, strict=True))
    area = aurc(confidence, risk[:, None], weights[None])[0, 0]
    repeated = [row for row in weighted_rows for _ in range(row[2])]
    orders = [order for order in permutations(repeated) if list(order) == sorted(order, key=lambda row: -row[0])]
    if not repeated:
        assert np.isnan(area)
        return
    ranks = np.arange(1, len(repeated) + 1)
    areas = [np.mean(np.cumsum([row[1] for row in order]) / ranks) for order in orders]
    assert area == pytest.approx(np.mean(areas))


def test_a_confidence_that_says_nothing_has_the_risk_for_area_and_one_half_for_auroc():
    metrics = RiskCoverage(5, statistics=RESAMPLING).summary(overlaps({"main": PAIRS}, confidence=[0.4] * 4))
    assert metrics["aurc"].estimate == pytest.approx(0.425) and metrics["auroc"].estimate == 0.5


def test_areas_agree_with_the_usual_implementations():
    rows = Scenes(20).table.query("task == 'main'")
    right, sure = rows["score"] >= 0.5, rows["confidence"]
    metrics = RiskCoverage(10, statistics=RESAMPLING).summary(rows)
    assert metrics["auroc"].estimate == pytest.approx(roc_auc_score(right, sure))
    assert metrics["ece"].estimate == pytest.approx(expected_calibration_error(sure, right, ECE_BINS))
    for interval in metrics.values():
        assert interval.low < interval.estimate < interval.high


def test_answers_that_are_all_right_have_no_auroc():
    metrics = RiskCoverage(10, statistics=RESAMPLING).summary(
        overlaps({"main": [(3, 4)] * 3}, confidence=[0.2, 0.5, 0.8])
    )
    assert np.isnan(metrics["auroc"].estimate) and metrics["aurc_failure"].estimate == 0


def test_the_oracle_has_no_confidence_to_judge(make_state, read_csv):
    table = overlaps({"main": PAIRS, "one_shot": PAIRS, "oracle": PAIRS}, confidence=SURE)
    state = make_state(table)
    RiskCoverage(10, statistics=RESAMPLING).run(state)
    written = read_json(state.directory / "analysis" / "risk_coverage.json")
    assert list(written) == ["one_shot", "main"]
    assert written["main"]["risk"] == pytest.approx(0.425) and written["main"]["n"] == 4
    assert read_csv(state.directory, "risk_coverage")["task"].tolist() == ["one_shot"] * 3 + ["main"] * 3


def test_the_figure_draws_the_curves_and_the_bins(rows):
    analysis = RiskCoverage(10, statistics=RESAMPLING)
    figure = risk_figure(
        curve(rows).assign(task="main"), {"main": analysis.summary(rows)}, {"main": analysis.bins_of(rows)}
    )
    risk, failure, diagram = figure.axes
    assert risk.lines[0].get_ydata().tolist() == pytest.approx([0.2, 0.4, 0.425])
    assert failure.lines[0].get_xdata().tolist() == [0.25, 0.75, 1.0]
    assert diagram.containers[0].lines[0].get_ydata().tolist() == pytest.approx([1, 0.5, 1])


@pytest.mark.parametrize(("key", "value"), [("bins", 0)])
def test_nonsense_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"^{key}="):
        RiskCoverage(**{"bins": 10, "statistics": RESAMPLING, key: value})
