import numpy as np
import pytest
from tests.analysis.segmentation.scenes import cost_of, overlaps

from hallmark.analysis.segmentation.cost import (
    Cost,
    cost_figure,
    later_iterations,
    main_rows,
    stage_table,
    stop_counts,
    totals,
)
from hallmark.statistics import Resampling
from hallmark.storage.files import write_json

RESAMPLING = Resampling(0.9, 100, 0)


@pytest.fixture
def table():
    """Four expressions of two images; one without a truth; 0, 1, 3 and 0 rewritten queries ranked."""
    return overlaps(
        {"main": [(1, 2), (1, 2), (1, 2), (None, None)]}, groups=["a", "a", "b", "b"], info_iterations=[0, 1, 3, 0],
        info_calls=[0, 1, 3, 1], info_cached=[0, 0, 2, 0], info_fallback=["", "", "timeout", "429"],
        info_stop=["confident", "confident", "max_iter", "fallback"], info_seconds=[0.1, 0.2, 0.4, 0.1],
        info_vlm_seconds=[0, 1.0, 2.0, 5.0], info_proposals=[5, 5, 7, 7],
    )  # fmt: skip


@pytest.fixture
def spent(table):
    return cost_of(table)


def test_stages_by_hand(spent):
    stages = stage_table(spent).set_index("stage")
    assert stages.index.tolist() == ["propose", "embed", "rank", "vlm", "other", "total"]
    assert stages["seconds"].tolist() == [6, 3, 1, 9, 1, 20]
    assert stages["share"].tolist() == pytest.approx([0.3, 0.15, 0.05, 0.45, 0.05, 1])
    assert stages.loc["propose", ["per_image", "per_expression", "seconds_each"]].tolist() == [3, 1.5, 3]
    assert stages.loc["embed", ["requested", "computed"]].tolist() == [12, 12]
    assert stages.loc["embed", "seconds_each"] == pytest.approx(3 / 12)
    assert stages.loc["vlm", ["requested", "computed"]].tolist() == [5, 2]


def test_what_was_read_from_disk_is_requested_but_not_computed(table):
    warm = cost_of(table, proposer={"requested": 2, "computed": 0})
    propose = stage_table(warm).set_index("stage").loc["propose"]
    assert (propose["requested"], propose["computed"]) == (2, 0) and np.isnan(propose["seconds_each"])
    assert later_iterations(warm, main_rows(table))["stored"] == 1


def test_later_iterations_against_the_first_by_hand(table, spent):
    later = later_iterations(spent, main_rows(table))
    # 4 first and 4 later queries share 1 s of ranking: 0.5 s against 6 + 3 + 0.5, and 9 s more with the rewriter
    assert (later["queries_first"], later["queries_later"]) == (4, 4)
    assert later["ranking"] == pytest.approx(0.5 / 9.5)
    assert later["with_vlm"] == pytest.approx(9.5 / 9.5)
    assert later["stored"] == 0


def test_expressions_by_hand_with_those_without_truth(table):
    quantities = Cost(statistics=RESAMPLING).expressions(main_rows(table)).set_index("quantity")
    assert (quantities["n"] == 4).all() and (quantities["n_groups"] == 2).all()
    assert quantities["mean"].tolist() == pytest.approx([1, 1.25, 0.5, 0.5, 0.2, 2.0])
    assert quantities.loc["rewriter calls", "total"] == 5
    assert quantities[["mean_low", "mean_high"]].isna().all(axis=None)  # two images say nothing of their spread


def test_stops_are_counted_by_iterations(table):
    counts = stop_counts(main_rows(table))
    assert counts.loc[0].to_dict() == {"confident": 1, "fallback": 1, "max_iter": 0}
    assert counts.loc[3, "max_iter"] == 1 and counts.to_numpy().sum() == 4


def test_totals_name_fallbacks_by_kind_and_the_memory(table, spent):
    later = later_iterations(spent, main_rows(table))
    quantities = totals({**spent, "peak_gpu_bytes": 3 * 2**30}, later).set_index("quantity")["value"]
    assert quantities["fallbacks by kind"] == "429 1, timeout 4"
    assert quantities["peak GPU memory"] == "3.00 GiB"
    assert quantities["rewriter tokens in, out"] == "12345, 678"
    assert quantities["later iterations, of the first's time"] == "5.3 %"
    assert totals(spent, later).set_index("quantity")["value"]["peak GPU memory"] == "no GPU"


def test_the_figure_has_a_bar_a_stage_and_stacks_the_reasons(table, spent):
    left, right = cost_figure(stage_table(spent), main_rows(table)).axes
    assert [patch.get_width() for patch in left.patches] == [6, 3, 1, 9, 1]
    assert sum(patch.get_height() for patch in right.patches) == 4
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["confident", "max iter", "fallback"]


def test_a_run_without_a_vlm_and_without_later_queries(table):
    quiet = table.assign(info_iterations=0, info_calls=0, info_cached=0, info_fallback="", info_stop="one_shot")
    spent = cost_of(
        quiet, vlm={"requests": 0, "cached": 0, "fallbacks": {}, "tokens_in": 0, "tokens_out": 0, "cost": 0}
    )
    assert later_iterations(spent, main_rows(quiet))["ranking"] == 0
    assert totals(spent, later_iterations(spent, quiet)).set_index("quantity")["value"]["fallbacks by kind"] == "none"


def test_a_run_without_its_cost_is_refused(table, make_state):
    state = make_state(table)
    with pytest.raises(ValueError, match=r"run=.*cost/val\.json"):
        Cost(statistics=RESAMPLING).run(state)
    write_json(state.directory / "cost" / "val.json", cost_of(table))
    Cost(statistics=RESAMPLING).run(state)
    with pytest.raises(ValueError, match=r"^cost: needs the columns info_calls"):
        main_rows(table.drop(columns="info_calls"))
