"""Digests and cache keys know every constructor argument that can change what they stand for.

Each class is listed with one other value for each of its arguments, or with the arguments that change no answer. An
argument that stands in neither list fails here, and so does one whose other value leaves the key as it is.
"""

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.systems.refseg.parts import BLUE, GREEN, RED, SYNONYMS, ColourEncoder, ColourProposer, Picture

from hallmark.data.perturb import Noise
from hallmark.data.splits import Evaluation
from hallmark.learning.language_model.budget import Budget, CircuitBreaker, TokenBucket
from hallmark.storage.hashing import digest
from hallmark.systems.refseg.loop import Thresholds
from hallmark.systems.refseg.module import LoopModule
from hallmark.systems.refseg.proposers.boxes import BoxGrid
from hallmark.systems.refseg.proposers.points import PointGrid
from hallmark.systems.refseg.proposers.small import SmallModel, SmallSam
from hallmark.systems.refseg.ranker.dual import DualEncoder, DualNetwork
from hallmark.systems.refseg.ranker.views import View
from hallmark.systems.refseg.vlm.client import OpenAIRewriter
from hallmark.systems.refseg.vlm.picture import PictureEncoder
from hallmark.systems.refseg.vlm.policies import Adversarial, Identity, Noisy, Oracle, PromptInjection, RuleNormaliser

WORDS = {"a": "red", "b": "blue"}


@dataclass
class Subject:
    """A class, arguments of it, other values that must change its settings, and arguments that need not.

    Attributes:
        free: argument → why it changes no answer.
    """

    cls: type
    base: Mapping[str, Any]
    others: Mapping[str, Any]
    free: Mapping[str, str] = field(default_factory=dict)


def rewriters() -> list[Subject]:
    budget = Budget(calls=1, cost=None, price_in=0, price_out=0, image_tokens=0)
    endpoint = {
        "base_url": "http://h/v1", "model": "m", "key_variable": None, "parameters": {"max_tokens": 8}, "timeout": 1.0,
        "deadline": 1.0, "max_failed": 0.1, "max_retries": 0, "max_reply_bytes": 2048,
        "picture": PictureEncoder(1024, "png"), "budget": budget, "bucket": TokenBucket(1, 1),
        "breaker": CircuitBreaker(1, 1), "cache": None,
    }  # fmt: skip
    waiting = "decides whether there is an answer in time, not which"
    answers = {
        "base_url": "http://h/v2", "model": "n", "parameters": {"max_tokens": 9},
        "picture": PictureEncoder(1024, "jpeg"),
    }  # fmt: skip
    return [
        Subject(Identity, {}, {}),
        Subject(RuleNormaliser, {"synonyms": SYNONYMS}, {"synonyms": {"crimson": "blue"}}),
        Subject(Oracle, {"expressions": WORDS}, {"expressions": {**WORDS, "c": "green"}}),
        Subject(
            Noisy,
            {"rewriter": Oracle(WORDS), "p": 0.5, "seed": 0, "expressions": WORDS},
            {"rewriter": Identity(), "p": 0.6, "seed": 1, "expressions": {**WORDS, "c": "green"}},
        ),
        Subject(Adversarial, {"mode": "drop"}, {"mode": "contradict"}),
        Subject(PromptInjection, {"replies": ["a"]}, {"replies": ["b"]}),
        Subject(OpenAIRewriter, endpoint, answers, dict.fromkeys(endpoint.keys() - answers.keys(), waiting)),
        Subject(
            PictureEncoder, {"max_pixels": 1024, "format": "png"}, {"max_pixels": 1025, "format": "jpeg"}
        ),
    ]  # fmt: skip


def seeing(folder: Any) -> list[Subject]:
    paths = {}
    for seed in (0, 1):
        torch.manual_seed(seed)
        for name, network in (("sam", SmallSam()), ("dual", DualNetwork())):
            paths[name, seed] = str(folder / f"{name}{seed}.safetensors")
            save_file(network.state_dict(), paths[name, seed])
    model = SmallModel(weights=paths["sam", 0], device="cpu")
    grid = {
        "model": model, "points_per_side": 3, "points_per_batch": 4, "min_iou": 0.1, "min_stability": 0.2,
        "stability_offset": 1.0, "max_overlap": 0.7, "min_area": 1,
    }  # fmt: skip
    changed = {
        "model": SmallModel(weights=paths["sam", 1], device="cpu"), "points_per_side": 4, "min_iou": 0.2,
        "min_stability": 0.3, "stability_offset": 2.0, "max_overlap": 0.8, "min_area": 2,
    }  # fmt: skip
    view = View(kind="crop", size=24)
    speed = "changes time and memory"
    sight = {
        "weights": paths["dual", 1], "view": View(kind="crop", size=24, padding=0.2), "geometry": False,
    }  # fmt: skip
    parts = ["size", "padding", "alpha"]
    other = {"kind": "black", "size": 32, "padding": 0.2, "alpha": True, "blur": 0.2, "line": 0.02, "weight": 0.6}
    kinds = {"crop": [], "black": [], "mask": [], "blur": ["blur"], "outline": ["line"],
             "global_local": ["blur", "weight"]}  # fmt: skip
    unused = "this kind of view does not use it"
    views = [
        Subject(
            View, {"kind": kind, "size": 24},
            {name: other[name] for name in ["kind"] * (kind != "black") + parts + used},
            dict.fromkeys({"blur", "line", "weight"} - set(used), unused) | ({"kind": ""} if kind == "black" else {}),
        )
        for kind, used in kinds.items()
    ]  # fmt: skip
    return [
        Subject(PointGrid, grid, changed, {"points_per_batch": speed}),
        Subject(SmallModel, {"weights": paths["sam", 0], "device": "cpu"}, {"weights": paths["sam", 1]},
                {"device": speed}),
        Subject(BoxGrid, {"scales": [0.5], "overlap": 0.1}, {"scales": [0.6], "overlap": 0.2}),
        Subject(DualEncoder, {"weights": paths["dual", 0], "view": view, "geometry": True, "context": False},
                {**sight, "context": True}),
        *views,
    ]  # fmt: skip


def check(subject: Subject, settings: Callable[[Any], Any]) -> None:
    names = set(inspect.signature(subject.cls).parameters)
    assert names == set(subject.others) | set(subject.free), f"{subject.cls.__name__}: an argument that is not listed"
    assert not set(subject.others) & set(subject.free)
    build = [subject.base, *({**subject.base, name: value} for name, value in subject.others.items())]
    texts = [json.dumps(settings(subject.cls(**arguments)), sort_keys=True) for arguments in build]
    assert texts[0] == json.dumps(settings(subject.cls(**subject.base)), sort_keys=True)
    for name, changed in zip(subject.others, texts[1:], strict=True):
        assert changed != texts[0], f"{subject.cls.__name__}: {name} is forgotten"


@pytest.mark.parametrize("place", range(8))
def test_rewriters(place):
    check(rewriters()[place], lambda built: built.settings())


@pytest.mark.parametrize("place", range(10))
def test_proposers_encoders_and_views(place, tmp_path):
    check(seeing(tmp_path)[place], lambda built: built.settings())


def test_no_part_is_left_out(tmp_path):
    assert (len(rewriters()), len(seeing(tmp_path))) == (8, 10)


class Other(ColourProposer):
    def settings(self) -> dict[str, Any]:
        return {"kind": "others"}


class Wordy(ColourEncoder):
    def text_settings(self) -> dict[str, Any]:
        return {"kind": "other words"}


def loop_arguments(tmp_path) -> tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
    base = {
        "proposer": ColourProposer(), "encoder": ColourEncoder(abstains=False), "position": 0.0, "region_batch": 64,
        "rewriter": RuleNormaliser(SYNONYMS), "max_iter": 1, "combine": "replace", "weight": 0.5,
        "keep": "most_confident", "temperature": None, "thresholds": None, "budget": 1.0, "parallel": 1,
        "cache": str(tmp_path / "cache"),
    }  # fmt: skip
    others = {
        "proposer": Other(), "encoder": Wordy(abstains=False), "position": 1.0,
        "rewriter": RuleNormaliser({"crimson": "blue"}), "max_iter": 2, "combine": "fuse", "weight": 0.6,
        "keep": "last", "temperature": 2.0, "thresholds": Thresholds(0.5, 0.5), "budget": 2.0,
    }  # fmt: skip
    speed = "changes time and memory"
    return base, others, {"region_batch": speed, "parallel": speed, "cache": "a place"}


WORLD = [
    Picture("k", "calibration", {"crimson": RED, "green": GREEN, "azure": BLUE}),
    Picture("l", "calibration", {"the blue": BLUE}, drawn={"blue": BLUE, "red": RED}),
    Picture("v", "val", {"crimson": RED}),
]


def test_the_digest_of_a_calibration_knows_every_argument_of_the_loop(data_of, tmp_path):
    data = data_of(WORLD)
    base, others, free = loop_arguments(tmp_path)
    subject = Subject(LoopModule, base, others, free)
    check(subject, lambda built: built.calibration_digest(data))


def test_two_tables_of_synonyms_are_two_digests_in_the_files_of_their_runs(data_of, module_of, predict, tmp_path):
    data, written = data_of(WORLD), []
    for synonyms in (SYNONYMS, {"crimson": "blue"}):
        folder = tmp_path / str(len(written))
        module = module_of(rewriter=RuleNormaliser(synonyms), max_iter=1)
        module.attach_run(folder)
        module.calibrate(lambda split, module=module: predict(module, data, split), data)
        written.append(json.loads((folder / "calibration.json").read_text())["digest"])
        assert written[-1] == module.calibration_digest(data)
    assert written[0] != written[1]


@pytest.mark.parametrize(
    ("changes", "pictures"),
    [
        ({"perturbation": Noise(10.0)}, WORLD),
        ({"perturbation": Noise(20.0)}, WORLD),
        ({}, [WORLD[0], Picture("l", "calibration", {"blue": BLUE}, drawn=WORLD[1].drawn), WORLD[2]]),  # words
        ({}, [WORLD[0], Picture("l", "calibration", {"the blue": RED}, drawn=WORLD[1].drawn), WORLD[2]]),  # truth
        ({}, [WORLD[0], Picture("l", "val", {"the blue": BLUE}, drawn=WORLD[1].drawn), WORLD[2]]),  # split
    ],
)
def test_the_digest_of_a_calibration_knows_the_rows_of_its_split(data_of, module_of, tmp_path, changes, pictures):
    module = module_of(rewriter=RuleNormaliser(SYNONYMS), max_iter=1)
    before = module.calibration_digest(data_of(WORLD))
    (tmp_path / "world").rename(tmp_path / "before")
    assert module.calibration_digest(data_of(pictures, **changes)) != before


def test_rows_that_are_not_fitted_on_leave_the_calibration_as_it_is(data_of, module_of, tmp_path):
    module = module_of()
    before = module.calibration_digest(data_of(WORLD))
    (tmp_path / "world").rename(tmp_path / "before")
    assert module.calibration_digest(data_of([*WORLD[:2], Picture("w", "val", {"red": RED})])) == before


def test_a_run_whose_words_have_changed_since_is_not_gone_on_with(data_of, module_of, tmp_path):
    table, folder, data = tmp_path / "words.json", tmp_path / "run", data_of(WORLD)
    table.write_text(json.dumps(SYNONYMS))
    settings = {"temperature": 1.0, "thresholds": Thresholds(0.5, 0.5), "max_iter": 1}
    module = module_of(rewriter=RuleNormaliser(str(table)), **settings)
    module.attach_run(folder)
    module.calibrate(lambda split: pytest.fail(split), data)
    module_of(rewriter=RuleNormaliser(str(table)), **settings).attach_run(folder)
    table.write_text(json.dumps({"crimson": "blue"}))
    with pytest.raises(ValueError, match=r"model\.json: what model\.rewriter read for this run"):
        module_of(rewriter=RuleNormaliser(str(table)), **settings).attach_run(folder)


def test_what_was_answered_is_kept_for_one_model_alone(data_of, module_of, predict, tmp_path):
    folder, data = tmp_path / "run", data_of(WORLD)
    settings = {"temperature": 1.0, "thresholds": Thresholds(1.0, 1.0), "max_iter": 1}
    answers = []
    for synonyms in (SYNONYMS, {"crimson": "blue"}):
        module = module_of(rewriter=RuleNormaliser(synonyms), **settings)
        module.attach_run(folder)
        answers.append([row["info_queries"] for output in predict(module, data, "val") for row in output["rows"]])
    assert answers[0] != answers[1] and len(list((folder / "partial").iterdir())) == 2


def test_other_words_are_other_data(data_of):
    generated = {"source": None, "sample": {"train": 0, "val": 40, "test": 0, "seed": 3, "synonyms": 0.0}}
    generated["split"] = Evaluation(calibration=0.2, test=0.2, seed=0)
    variants = [data_of(**generated, anchors=anchors) for anchors in (None, "own", "shuffled")]
    assert len({data.fingerprint for data in variants}) == 3
    assert len({digest(data.identity("val")) for data in variants}) == 3
    assert len({data.content for data in variants}) == 1  # the seal knows them as one data set
