import pytest
from tests.analysis.segmentation.scenes import Scenes, cost_of, overlaps

from hallmark.analysis.bad_cases import BadCases
from hallmark.analysis.classification.curves import Curves
from hallmark.analysis.segmentation.answers import answers, task_name
from hallmark.analysis.segmentation.bootstrap import Bootstrap
from hallmark.analysis.segmentation.cases import Cases
from hallmark.analysis.segmentation.cost import Cost
from hallmark.analysis.segmentation.oracle import ErrorDecomposition
from hallmark.analysis.segmentation.risk_coverage import RiskCoverage
from hallmark.analysis.segmentation.size_buckets import SizeBuckets
from hallmark.analysis.slices import parts, slice_columns
from hallmark.statistics import Resampling
from hallmark.storage.files import write_json
from hallmark.wording import readable

RESAMPLING = Resampling(0.9, 50, 0)
ANALYSES = {
    "bootstrap": Bootstrap(statistics=RESAMPLING), "size_buckets": SizeBuckets(["size"], statistics=RESAMPLING),
    "oracle": ErrorDecomposition(["size"], statistics=RESAMPLING),
    "risk_coverage": RiskCoverage(10, statistics=RESAMPLING),
    "cost": Cost(statistics=RESAMPLING), "cases": Cases(1, 1, least=0.02),
}  # fmt: skip
WITH_TRUTH = [name for name in ANALYSES if name not in ("cost", "cases")]


@pytest.fixture(scope="module")
def scenes():
    return Scenes(6)


@pytest.mark.parametrize("name", ANALYSES)
def test_a_table_of_classes_is_refused_by_the_name_of_the_analysis(name, table, make_state):
    state = make_state(table(["cat"], [[0.5, 0.5]], slice_size=["small"]))
    with pytest.raises(ValueError, match=f"^{name}: needs predicted masks.*this table has main \\(classes\\)$"):
        ANALYSES[name].run(state)
    assert not state.written


@pytest.mark.parametrize("name", ANALYSES)
def test_a_table_of_other_scores_is_refused(name, make_state):
    other = overlaps({"main": [(1, 2)]}).drop(columns=["intersection", "union"])
    other.attrs = {"classes": {}, "slices": {}}
    with pytest.raises(ValueError, match=f"^{name}: needs predicted masks.*columns intersection, union, target_area"):
        ANALYSES[name].run(make_state(other))


@pytest.mark.parametrize("name", WITH_TRUTH)
def test_a_table_without_truth_is_refused(name, make_state):
    table = overlaps({"main": [(None, None)], "one_shot": [(None, None)]}, slice_size=[None])
    with pytest.raises(ValueError, match=f"^{name}: needs rows with a true mask; none of these 2"):
        ANALYSES[name].run(make_state(table))


@pytest.mark.parametrize(("name", "task"), [("cases", "one_shot"), ("oracle", "oracle")])
def test_a_missing_task_is_named(name, task, make_state):
    with pytest.raises(ValueError, match=f"^{name}: needs the task {task}"):
        ANALYSES[name].run(make_state(overlaps({"main": [(1, 2)]}, slice_size=["small"])))


@pytest.mark.parametrize("name", ANALYSES)
def test_every_analysis_writes_its_table_and_figure(name, scenes, make_state, assert_drawn, capsys):
    state = make_state(scenes.table, data=scenes)
    write_json(state.directory / "cost" / "val.json", cost_of(scenes.table))
    ANALYSES[name].run(state)
    assert (state.directory / "analysis" / f"{name}.csv").is_file()
    assert_drawn(state.directory, "cases_improved" if name == "cases" else name)
    printed = capsys.readouterr().out
    assert printed and "nan" not in printed


@pytest.mark.parametrize("name", ANALYSES)
def test_one_image_has_values_without_intervals(name, make_state, monkeypatch):
    scenes = Scenes(1)
    state = make_state(scenes.table, data=scenes)
    monkeypatch.setattr(state, "save_figure", lambda name, figure: figure.draw_without_rendering())
    write_json(state.directory / "cost" / "val.json", cost_of(scenes.table))
    ANALYSES[name].run(state)
    assert state.written


def test_parts_have_declared_categories_first_and_those_without_a_row_too():
    rows = overlaps(
        {"main": [(1, 2)] * 4}, slice_size=["big", None, "small", "big"], slices={"slice_size": ["tiny", "small"]}
    )
    counts = {(name, category): member.sum() for name, category, member in parts(rows, ["slice_size"])}
    assert counts == {
        ("all", "all"): 4, ("size", "tiny"): 0, ("size", "small"): 1, ("size", "big"): 2, ("size", "(missing)"): 1,
    }  # fmt: skip
    assert list(counts)[1:] == [("size", name) for name in ("tiny", "small", "big", "(missing)")]


def test_unknown_columns_are_refused():
    rows = overlaps({"main": [(1, 2)]}, slice_size=["small"])
    assert slice_columns(rows, None) == slice_columns(rows, ["size"]) == ["slice_size"]
    with pytest.raises(ValueError, match=r"^columns=\['colour'\].*out of slice_size"):
        slice_columns(rows, ["colour"])


def test_the_answer_of_a_run_that_never_rewrites_is_called_one_shot():
    assert task_name("main", ["main", "oracle"]) == "one-shot"
    assert [task_name(task, ["main", "one_shot"]) for task in ("main", "one_shot", "oracle")] == [
        "loop", "one-shot", "best proposal",
    ]  # fmt: skip
    assert [readable(name) for name in ("miou", "oiou", "p@0.5")] == ["mIoU", "oIoU", "P@0.5"]


def test_tasks_come_in_the_order_of_the_loop():
    assert list(answers(overlaps({"oracle": [(1, 1)], "main": [(1, 1)], "one_shot": [(1, 1)]}), "x")) == [
        "one_shot", "main", "oracle",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "analysis", [BadCases("val", 0.5, limit=None, label_errors=False), Curves(statistics=RESAMPLING)]
)
def test_analyses_of_classes_refuse_scores(analysis, make_state):
    with pytest.raises(ValueError, match=r"needs a task with classes; these predictions have scores only \(main\)"):
        analysis.run(make_state(overlaps({"main": [(1, 2)]})))
