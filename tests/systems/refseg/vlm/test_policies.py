import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.systems.refseg.vlm.conftest import ask

from hallmark.engine.build import build
from hallmark.systems.refseg.sample.lexicon import CANONICAL, LEXICON
from hallmark.systems.refseg.vlm.base import Rewrite
from hallmark.systems.refseg.vlm.policies import (
    HOSTILE,
    Adversarial,
    Identity,
    Noisy,
    Oracle,
    PromptInjection,
    RuleNormaliser,
    TimeOut,
)  # fmt: skip
from hallmark.systems.refseg.vlm.words import OPPOSITES, SYNONYMS, read_texts

EXPRESSIONS = {f"s{at}": f"expression {at}" for at in range(200)}
ARMS = [
    Identity(), RuleNormaliser(), Oracle(EXPRESSIONS), Noisy(Identity(), p=0.5, seed=1, expressions=EXPRESSIONS),
    Adversarial("contradict"), Adversarial("drop"), PromptInjection(), TimeOut(),
]  # fmt: skip

PACKAGED = read_texts(SYNONYMS, "synonyms")


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: type(arm).__name__)
@given(query=st.text(max_size=300), sample=st.text(max_size=20))
def test_an_arm_never_raises_and_says_the_same_twice(arm, query: str, sample: str):
    first, second = (arm.rewrite(ask(query, sample_id=sample)) for _ in range(2))
    assert (first.query, first.fallback) == (second.query, second.fallback)
    assert isinstance(first.query, str) and (first.fallback is None or first.query == query)


@given(st.text())
def test_identity_keeps_every_byte(query: str):
    assert Identity().rewrite(ask(query)) == Rewrite(query)


def test_a_time_out_is_a_fallback():
    assert TimeOut().rewrite(ask("red")) == Rewrite("red", "timeout")


@pytest.mark.parametrize(
    ("query", "normal"),
    [
        ("  The CRIMSON\tDiscs, on the left-hand side!", "the red circle on the left side"),
        ("tiny azure squares", "small blue squares"),
        ("the big guy to the left of the ladies", "the large man left of the woman"),
        ("far left emerald lozenge", "leftmost green diamond"),
        ("grass by the glasses", "grass by the glasses"),
        ("red circle", "red circle"),
        ("!!!", "!!!"),
        ("", ""),
    ],
)
def test_rules(query, normal):
    assert RuleNormaliser().rewrite(ask(query)).query == normal


def test_rules_of_ones_own(tmp_path: Path):
    path = tmp_path / "synonyms.json"
    path.write_text(json.dumps({"Disc": "circle", "to the west of": "left of", "west": "left", "city": "town"}))
    for synonyms in (path, str(path), json.loads(path.read_text())):
        normalizer = RuleNormaliser(synonyms)
        assert normalizer.rewrite(ask("discs to the west of crimson cities")).query == "circle left of crimson town"
        assert normalizer.rewrite(ask("west")).query == "left"


@given(st.lists(st.sampled_from(sorted({*PACKAGED, *PACKAGED.values(), "the"})), max_size=6))
def test_what_is_normal_comes_to_rest(parts: list[str]):
    normalizer = RuleNormaliser()
    once = normalizer.rewrite(ask(" ".join(parts))).query
    for _ in range(6):
        once, before = normalizer.rewrite(ask(once)).query, once
        if once == before:
            return
    raise AssertionError(f"no rest: {once}")


def test_common_words_are_nobodys_synonyms():
    assert not set(PACKAGED) & set(PACKAGED.values())


@pytest.mark.parametrize(
    ("name", "right", "wrong"), [("normaliser", 25, 0), ("wordnet", 14, 1), ("oracle_dictionary", 39, 0)]
)
def test_how_many_words_that_training_never_saw_a_table_says_in_words_that_it_saw(compose, name, right, wrong):
    rewriter = build(compose("experiment=refseg_loop", f"model/rewriter={name}").model.rewriter)
    held_out = [word for words in LEXICON.values() for word in words.held_out]
    queries = {word: rewriter.rewrite(ask(word)).query for word in held_out}
    changed = {word: query for word, query in queries.items() if query != word}
    hits = sum(CANONICAL.get(query, query) == CANONICAL[word] for word, query in changed.items())
    assert len(held_out) == 39 and (hits, len(changed) - hits) == (right, wrong)


def test_the_rewriters_of_a_study_are_options(compose):
    def rewriter(name: str):
        return build(compose("experiment=refseg_loop", f"model/rewriter={name}", "data.sample.val=4").model.rewriter)

    oracle, noisy = rewriter("oracle"), rewriter("noisy")
    wordings = oracle.settings()["expressions"]
    assert len(wordings) > 20 and not any(
        synonym in wording.split() for wording in wordings.values() for synonym in CANONICAL
    )
    sentences = {name: (oracle.rewrite(ask(sample_id=name)).query, noisy.rewrite(ask(sample_id=name)).query)
                 for name in wordings}  # fmt: skip
    assert all(right == wordings[name] for name, (right, _) in sentences.items())
    assert 0 < sum(right != other for right, other in sentences.values()) < len(wordings) / 2
    assert rewriter("time_out").rewrite(ask("red")) == Rewrite("red", "timeout")


def test_rewriters_know_nothing_of_the_sample_world():
    code = (
        "import sys; from hallmark.systems.refseg.vlm.policies import RuleNormaliser; RuleNormaliser(); "
        "print([name for name in sys.modules if name.startswith('hallmark.systems.refseg.sample')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("content", [None, "{", "[1]", '{"a": 1}', "[" * 50_000])
def test_a_table_that_cannot_be_read_is_named(tmp_path: Path, content):
    path = tmp_path / "table.json"
    if content is not None:
        path.write_text(content)
    for policy, key in ((RuleNormaliser, "synonyms"), (Oracle, "expressions")):
        with pytest.raises(ValueError, match=rf"^{key}=.*table\.json.*expected"):
            policy(path)


def test_the_oracle_knows_its_samples():
    assert Oracle(EXPRESSIONS).rewrite(ask("x", sample_id="s7")) == Rewrite("expression 7")
    assert Oracle(EXPRESSIONS).rewrite(ask("x", sample_id="none")) == Rewrite("x", "unknown_sample")


def noisy(p: float, seed: int = 1) -> dict[str, str]:
    arm = Noisy(Oracle(EXPRESSIONS), p=p, seed=seed, expressions=EXPRESSIONS)
    return {sample: arm.rewrite(ask("x", sample_id=sample)).query for sample in EXPRESSIONS}


def test_noise_replaces_its_share_by_the_words_of_others():
    wrong = {
        p: {sample for sample, query in noisy(p).items() if query != EXPRESSIONS[sample]} for p in (0, 0.3, 0.6, 1)
    }
    assert not wrong[0] and len(wrong[1]) == 200
    assert 40 <= len(wrong[0.3]) <= 80 and wrong[0.3] < wrong[0.6]
    assert set(noisy(1).values()) <= set(EXPRESSIONS.values()) and len(set(noisy(1).values())) > 80
    assert noisy(0.3) == noisy(0.3) != noisy(0.3, seed=2)


def test_noise_for_two_samples_and_for_strangers():
    arm = Noisy(Identity(), p=1.0, seed=0, expressions={"a": "A", "b": "B"})
    assert [arm.rewrite(ask("x", sample_id=sample)).query for sample in "ab"] == ["B", "A"]
    assert arm.rewrite(ask("x", sample_id="c")).query in "AB"


@pytest.mark.parametrize("change", [{"p": 1.5}, {"p": -0.1}, {"seed": -1}, {"expressions": {"a": "A"}}])
def test_settings_of_noise(change):
    with pytest.raises(ValueError, match=f"^{next(iter(change))}="):
        Noisy(Identity(), **({"p": 0.5, "seed": 0, "expressions": EXPRESSIONS} | change))


@pytest.mark.parametrize(
    ("query", "contradicted", "dropped"),
    [
        ("the small red circle left of the star", "the large green square right of the triangle", "the of the"),
        ("the elephant in the room", "the in the", "the in the"),
        ("elephant", "something", "something"),
    ],
)
def test_destruction(query, contradicted, dropped):
    assert Adversarial("contradict").rewrite(ask(query)).query == contradicted
    assert Adversarial("drop").rewrite(ask(query)).query == dropped


def test_nothing_is_its_own_opposite():
    assert all(word != other for word, other in OPPOSITES.items())
    assert OPPOSITES["left"] == "right" and OPPOSITES["right"] == "left"


def test_settings_of_destruction_and_injection():
    with pytest.raises(ValueError, match=r"^mode="):
        Adversarial("burn")
    with pytest.raises(ValueError, match=r"^replies="):
        PromptInjection(())


def test_no_hostile_reply_gets_through_and_every_one_is_tried():
    kinds = {PromptInjection([text]).rewrite(ask("red", sample_id="a")) for text in HOSTILE}
    assert {rewrite.query for rewrite in kinds} == {"red"}
    assert {rewrite.fallback for rewrite in kinds} == {"schema", "too_long", "malformed"}
    names = [f"text {at}" for at in range(8)]
    assert {PromptInjection(names).rewrite(ask("red", sample_id=str(at))).query for at in range(100)} == set(names)
