"""The closed loop as a module: what is computed how often, what is answered, kept, calibrated and counted."""

import json

import numpy as np
import pandas as pd
import pytest
from tests.systems.refseg.parts import BLUE, GREEN, RED, SYNONYMS, ColourEncoder, ColourProposer, Picture, rle_of

from hallmark.checks import SettingError
from hallmark.data.masks import rle_from_text
from hallmark.data.perturb import Noise
from hallmark.statistics.tables import table_metrics
from hallmark.systems.refseg.loop import ALWAYS, Thresholds
from hallmark.systems.refseg.vlm.base import Rewrite
from hallmark.systems.refseg.vlm.policies import Identity, RuleNormaliser, TimeOut

HALF = (0, 0, 4, 8)  # of the red square
MIXED = [
    Picture("a", "val", {"crimson": RED, "red one": RED, "the green": GREEN, "azure": BLUE}),
    Picture("b", "val", {"red": (5, 5, 4, 4), "nothing": ()}, drawn={}),
    Picture("c", "val", {"nothing": ()}),
    Picture("d", "val", {"red": HALF}),
]
REWRITTEN = {"rewriter": RuleNormaliser(SYNONYMS), "max_iter": 2, "thresholds": ALWAYS, "temperature": 1.0}
ANSWER = ["id", "prediction", "confidence", "probabilities", "info_chosen", "score"]


class Unnamed:
    """What has no settings."""

    def settings(self) -> dict:
        return {"kind": type(self).__name__}


class Talkative(Unnamed):
    """Never says the same twice; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked = []

    def rewrite(self, request) -> Rewrite:
        self.asked.append(request)
        return Rewrite(f"{request.query} please", tokens_in=300, tokens_out=8, seconds=0.5)


def answers(table: pd.DataFrame, task: str = "main") -> pd.DataFrame:
    return table[table["task"] == task].reset_index(drop=True)


@pytest.fixture
def table_of(predict, run_directory):
    """A function from a module, data and split to the predictions table, in a run of its own."""

    def table_of(module, data, split="val") -> pd.DataFrame:
        module.attach_run(run_directory)
        return module.table(predict(module, data, split), data, split)

    return table_of


def test_one_pass_an_image_whatever_is_asked_of_it(data_of, module_of, predict, run_directory, tmp_path):
    data = data_of(MIXED, batch_size=1)
    settings = {"max_iter": 3, "thresholds": ALWAYS, "temperature": 1.0}
    for again in (False, True):
        proposer, encoder, rewriter = ColourProposer(), ColourEncoder(abstains=False), Talkative()
        embedded: list[int] = []
        encoder.register_forward_hook(lambda _, inputs, __, sizes=embedded: sizes.append(len(inputs[0])))
        module = module_of(proposer=proposer, encoder=encoder, rewriter=rewriter, **settings)
        folder = run_directory / str(again)
        module.attach_run(folder)
        table = module.table(predict(module, data, "val"), data, "val")
        assert len(rewriter.asked) == 3 * 6  # the expressions of "b" have no proposals to choose from
        assert proposer.seen == [] if again else len(set(proposer.seen)) == len(proposer.seen) == 4
        assert embedded == ([] if again else [4, 4, 4])
        cost = json.loads((folder / "cost" / "val.json").read_text())
        assert cost["proposer"] == {"requested": 4, "computed": 0 if again else 4}
        assert cost["regions"] == {"requested": 12, "computed": 0 if again else 12}
        assert cost["scores"] == 6 * 4 * 4  # expressions, rankings of each, proposals
        assert (cost["images"], cost["expressions"]) == (4, 8)
        assert set(answers(table)["info_stop"]) == {"max_iter", "no_proposals"}


def test_equal_sentences_of_an_image_are_ranked_and_embedded_once(data_of, module_of, table_of, run_directory):
    data = data_of([Picture("a", "val", {"red": RED, "red ": RED, "green": GREEN})])
    table = table_of(module_of(), data)
    cost = json.loads((run_directory / "cost" / "val.json").read_text())
    assert cost["texts"] == 2 and len(answers(table)) == 3
    assert answers(table)["prediction"].nunique() == 2


@pytest.mark.parametrize("abstains", [False, True])
@pytest.mark.parametrize("combine", ["replace", "fuse"])
def test_what_cannot_change_the_query_gives_the_bits_of_one_shot(data_of, module_of, table_of, abstains, combine):
    data = data_of(MIXED)
    settings = {"combine": combine, "temperature": 1.7, "thresholds": ALWAYS, "keep": "last"}
    arms = {"one shot": (None, 0), "no rewriter": (None, 3), "identity": (Identity(), 3), "silent": (TimeOut(), 3)}
    tables = {}
    for name, (rewriter, max_iter) in arms.items():
        encoder = ColourEncoder(abstains=abstains)
        tables[name] = table_of(module_of(encoder=encoder, rewriter=rewriter, max_iter=max_iter, **settings), data)
    reference = answers(tables["one shot"])[ANSWER]
    for name, table in tables.items():
        pd.testing.assert_frame_equal(answers(table)[ANSWER], reference, check_exact=True)
        if name != "one shot":
            pd.testing.assert_frame_equal(answers(table, "one_shot")[ANSWER], reference, check_exact=True)
    assert "one_shot" not in set(tables["one shot"]["task"])
    assert set(answers(tables["identity"])["info_stop"]) == {"unchanged", "no_proposals"}


def test_metrics_by_hand(data_of, module_of, table_of):
    data = data_of(MIXED)
    metrics = table_metrics(table_of(module_of(**REWRITTEN), data))
    # IoU: crimson, red one, green, azure 1; without proposals 0, and 1 for what is not there; nothing 0; half 0.5.
    # Two have no target; one of them is answered so, for want of proposals.
    expected = {
        "miou": 5.5 / 8, "target_miou": 4.5 / 6, "no_target_accuracy": 0.5, "oiou": 212 / 324,
        "p@0.5": 6 / 8, "p@0.6": 5 / 8, "p@0.9": 5 / 8, "n": 8,
    }  # fmt: skip
    assert {name: metrics["main"][name] for name in expected} == pytest.approx(expected)
    first = {"miou": 3.5 / 8, "oiou": 112 / 424, "p@0.5": 4 / 8, "p@0.6": 3 / 8, "n": 8}  # crimson, azure are wrong
    assert {name: metrics["one_shot"][name] for name in first} == pytest.approx(first)
    assert {name: metrics["oracle"][name] for name in expected} == pytest.approx(expected)


def test_a_model_that_abstains_can_say_that_there_is_no_such_object(data_of, module_of, table_of):
    table = table_of(module_of(encoder=ColourEncoder(abstains=True), **REWRITTEN), data_of(MIXED))
    row = answers(table).set_index("id").loc["c-0#0"]
    assert (row["info_chosen"], row["score"], row["union"]) == (-1, 1.0, 0.0)
    assert len(row["probabilities"]) == row["info_proposals"] + 1 and row["probabilities"][-1] == row["confidence"]
    assert rle_from_text(row["prediction"]) == rle_of(())
    metrics = table_metrics(table)
    assert metrics["main"]["miou"] == metrics["oracle"]["miou"] == pytest.approx(6.5 / 8)
    assert metrics["main"]["oiou"] == pytest.approx(212 / 260)
    assert metrics["main"]["target_miou"] == pytest.approx(4.5 / 6) and metrics["main"]["no_target_accuracy"] == 1


def test_every_sentence_is_a_row_with_what_became_of_it(data_of, module_of, table_of):
    data = data_of(MIXED)
    table = table_of(module_of(**REWRITTEN), data)
    assert table["task"].tolist() == ["main"] * 8 + ["one_shot"] * 8 + ["oracle"] * 8
    for task in ("main", "one_shot", "oracle"):
        assert answers(table, task)["id"].tolist() == data.rows("val")["id"].tolist()
    rows = answers(table).set_index("id")
    crimson = rows.loc["a-0#0"]
    assert json.loads(crimson["info_queries"]) == ["crimson", "red"]
    assert (crimson["info_calls"], crimson["info_iterations"], crimson["info_stop"]) == (2, 1, "unchanged")
    assert crimson["confidence"] == pytest.approx(np.exp(10) / (np.exp(10) + 3))
    assert rle_from_text(crimson["prediction"]) == rle_from_text(crimson["target"]) == rle_of(RED)
    first = answers(table, "one_shot").set_index("id").loc["a-0#0"]
    assert rle_from_text(first["prediction"]) == rle_of(BLUE)
    assert first["probabilities"] == pytest.approx(np.exp([6, 0, 8, 0]) / np.exp([6, 0, 8, 0]).sum())
    assert first["info_gap"] == pytest.approx((np.exp(8) - np.exp(6)) / np.exp([6, 0, 8, 0]).sum())
    bare = rows.loc[["b-0#0", "b-1#0"]]
    assert bare["score"].tolist() == [0.0, 1.0] and bare["union"].tolist() == [16.0, 0.0]
    assert set(bare["info_stop"]) == {"no_proposals"} and set(bare["confidence"]) == {0.0}
    assert (bare["info_calls"] == 0).all() and bare["probabilities"].map(len).tolist() == [0, 0]
    assert set(rows["group"]) == {"a", "b", "c", "d"}
    assert table.attrs["classes"] == {}
    assert table.attrs["slices"]["slice_size"] == ["no target", "small", "medium", "large"]


def test_expressions_without_a_truth_are_answered_and_not_scored(data_of, module_of, table_of):
    table = table_of(module_of(**REWRITTEN), data_of([Picture("a", "", {"azure": None, "green": None})]), "predict")
    assert table["task"].tolist() == ["main", "main", "one_shot", "one_shot"]
    assert table[["target", "score", "intersection", "union", "target_area"]].isna().all(axis=None)
    assert [rle_from_text(text) for text in answers(table)["prediction"]] == [rle_of(BLUE), rle_of(GREEN)]
    assert table_metrics(table) == {}


@pytest.mark.parametrize("batch_size", [1, 3])
def test_rewriters_asked_side_by_side_answer_as_one_after_the_other(data_of, module_of, predict, batch_size):
    data, tables = data_of(MIXED, batch_size=batch_size), []
    for parallel in (1, 4):
        rewriter = Talkative()
        module = module_of(rewriter=rewriter, max_iter=3, thresholds=ALWAYS, temperature=1.0, parallel=parallel)
        tables.append(module.table(predict(module, data, "val"), data, "val").drop(columns="info_seconds"))
        assert len(rewriter.asked) == 18
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_a_loop_that_leads_astray_is_bounded_by_its_surest_step(data_of, module_of, table_of):
    class Vague(Unnamed):
        def rewrite(self, request) -> Rewrite:
            return Rewrite("something")

    data = data_of([Picture("a", "val", {"red": RED, "green": GREEN})])
    settings = {"rewriter": Vague(), "max_iter": 1, "thresholds": ALWAYS, "temperature": 1.0}
    sure = answers(table_of(module_of(**settings), data))
    assert sure["score"].tolist() == [1, 1] and (sure["info_iterations"] == 1).all()
    assert answers(table_of(module_of(keep="last", **settings), data))["score"].tolist() == [1, 0]


def test_fallbacks_are_counted_by_kind_and_keep_the_query(data_of, module_of, table_of, run_directory):
    class Failing(Unnamed):
        kinds = iter(["timeout", "refusal", "timeout"] * 3)

        def rewrite(self, request) -> Rewrite:
            return Rewrite(request.query, next(self.kinds))

    table = answers(table_of(module_of(rewriter=Failing(), max_iter=3, thresholds=ALWAYS), data_of(MIXED)))
    cost = json.loads((run_directory / "cost" / "val.json").read_text())
    assert cost["vlm"]["fallbacks"] == {"timeout": 4, "refusal": 2} and cost["vlm"]["requests"] == 6
    assert table["info_fallback"].value_counts().to_dict() == {"timeout": 4, "refusal": 2, "": 2}
    assert (table["info_iterations"] == 0).all() and table["info_stop"].value_counts()["fallback"] == 6


def test_cost_adds_up_calls_tokens_and_seconds(data_of, module_of, table_of, run_directory):
    table = answers(table_of(module_of(rewriter=Talkative(), max_iter=2, thresholds=ALWAYS), data_of(MIXED)))
    cost = json.loads((run_directory / "cost" / "val.json").read_text())
    assert cost["vlm"] == {
        "requests": 12, "cached": 0, "fallbacks": {}, "tokens_in": 3600, "tokens_out": 96, "cost": 0.0,
    }  # fmt: skip
    assert table["info_vlm_seconds"].sum() == pytest.approx(0.5 * 12)
    assert cost["seconds"]["vlm"] == pytest.approx(0.5 * 12, rel=0.05)
    assert set(cost["seconds"]) == {"propose", "embed", "rank", "vlm", "total"}
    assert all(value >= 0 for name, value in cost["seconds"].items() if name != "rank")


def test_the_rewriter_sees_the_file_or_the_picture_as_it_was_perturbed(data_of, module_of, predict, tmp_path):
    pictures = [Picture("a", "val", {"crimson": RED})]
    settings = {"max_iter": 1, "thresholds": ALWAYS}
    plain, noisy = Talkative(), Talkative()
    data = data_of(pictures)
    predict(module_of(rewriter=plain, **settings), data, "val")
    again = data_of(source=str(tmp_path / "world"), perturbation=Noise(10.0))
    predict(module_of(rewriter=noisy, **settings), again, "val")
    assert plain.asked[0].image == (tmp_path / "world" / "a.png").read_bytes()
    assert noisy.asked[0].image != plain.asked[0].image
    assert noisy.asked[0].image_digest != plain.asked[0].image_digest
    for request in (plain.asked[0], noisy.asked[0]):
        assert (request.expression, request.query, list(request.history)) == ("crimson", "crimson", ["crimson"])
        assert request.sample_id == "a-0#0"


def test_a_stopped_run_goes_on_from_what_it_has(data_of, module_of, predict, run_directory):
    data = data_of(MIXED, batch_size=1)
    settings = {"max_iter": 1, "thresholds": ALWAYS, "temperature": 1.0}
    first, second = Talkative(), Talkative()
    module = module_of(rewriter=first, **settings)
    module.attach_run(run_directory)
    for batch in list(data.eval_dataloader("val"))[:2]:
        module.predict_step(batch, 0)
    modified = {path: path.stat().st_mtime_ns for path in (run_directory / "partial").iterdir()}
    assert len(modified) == 2
    module = module_of(rewriter=second, **settings)
    module.attach_run(run_directory)
    outputs = predict(module, data, "val")
    assert {path: path.stat().st_mtime_ns for path in modified} == modified
    assert {request.sample_id for request in second.asked} == {"c-0#0", "d-0#0"}
    assert module.proposer.requested == 2
    resumed = module.table(outputs, data, "val")
    assert not (run_directory / "partial").exists()
    uninterrupted = module_of(rewriter=Talkative(), **settings)
    undisturbed = uninterrupted.table(predict(uninterrupted, data, "val"), data, "val")
    timed = ["info_seconds"]
    pd.testing.assert_frame_equal(resumed.drop(columns=timed), undisturbed.drop(columns=timed), check_exact=True)
    cost = json.loads((run_directory / "cost" / "val.json").read_text())
    assert cost["proposer"]["requested"] == 4 and cost["vlm"]["requests"] == 6


@pytest.mark.parametrize("change", [{"temperature": 2.0}, {"thresholds": Thresholds(0.5, 0.5)}])
def test_answers_under_another_calibration_are_not_taken_over(data_of, module_of, predict, run_directory, change):
    data = data_of(MIXED)
    base = {"temperature": 1.0, "thresholds": ALWAYS, "rewriter": Identity(), "max_iter": 1}
    for settings, files in ((base, 2), (base | change, 4)):
        module = module_of(**settings)
        module.attach_run(run_directory)
        predict(module, data, "val")
        assert len(list((run_directory / "partial").iterdir())) == files


def test_the_views_of_an_analysis_leave_the_run_alone(data_of, module_of, run_directory):
    data, module = data_of(MIXED), module_of()
    module.attach_run(run_directory)
    outputs = [module.predict_step(batch, 0) for batch in data.eval_dataloader("val", Noise(5.0))]
    table = module.table(outputs, data, "val")
    assert len(answers(table)) == 8
    assert list(run_directory.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"temperature": 0.0}, "temperature"), ({"temperature": -1.0}, "temperature"), ({"max_iter": -1}, "max_iter"),
        ({"combine": "add"}, "combine"), ({"keep": "first"}, "keep"), ({"weight": -0.1}, "weight"),
        ({"budget": -1.0}, "budget"), ({"position": -1.0}, "position"), ({"region_batch": 0}, "region_batch"),
        ({"parallel": 0}, "parallel"),
    ],
)  # fmt: skip
def test_nonsense_names_its_key(module_of, change, key):
    with pytest.raises(SettingError) as caught:
        module_of(**change)
    assert caught.value.key == key
