from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hallmark.data.duplicate_texts import MIN_WORDS, near_duplicate_texts
from hallmark.data.groups import connected_groups
from hallmark.data.text import normalize_text


def jaccard(first: str, second: str) -> float:
    a, b = set(first.split()), set(second.split())
    return len(a & b) / len(a | b)


def test_a_word_more_or_another_word_is_found_and_less_is_not() -> None:
    base = "why do you get distressed so much take the quiz"
    texts = [base, base.replace("distressed", "flustered"), f"{base} now", "why do you get up", "", base]
    assert sorted(map(tuple, near_duplicate_texts(texts).tolist())) == [(0, 1), (0, 2), (0, 5)]


def test_short_texts_are_in_no_pair() -> None:
    assert len(near_duplicate_texts(["happy valentine s day", "happy valentine s day babes"])) == 0
    assert len(near_duplicate_texts(["one two three four"] * 2)) == 0
    five = "broken gradient edges grain colorize"
    assert near_duplicate_texts([five, f"{five} raster"]).tolist() == [[0, 1]]


def test_scripts_without_spaces_are_compared_by_character() -> None:
    text = normalize_text("今日はとても良い天気ですね!")
    assert near_duplicate_texts([text, f"{text}雨", "明後日海山川空"]).tolist() == [[0, 1]]


@given(st.lists(st.lists(st.sampled_from("abcdefghij"), max_size=12).map(" ".join), max_size=30))
def test_texts_are_connected_as_by_comparing_all_with_all(texts: list[str]) -> None:
    expected = [
        (i, j)
        for i, j in combinations(range(len(texts)), 2)
        if min(len(set(texts[row].split())) for row in (i, j)) >= MIN_WORDS and jaccard(texts[i], texts[j]) >= 0.8
    ]
    pairs = near_duplicate_texts(texts)
    assert {tuple(pair) for pair in pairs.tolist()} <= set(expected)
    of_all = connected_groups(len(texts), [np.array(expected, int).reshape(-1, 2)]) if texts else np.array([])
    groups = connected_groups(len(texts), [pairs]) if texts else np.array([])
    assert np.array_equal(np.equal.outer(groups, groups), np.equal.outer(of_all, of_all))


def test_many_texts_of_common_words() -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{word}" for word in row) for row in rng.zipf(1.5, (3000, 12)) % 500]
    copies = [f"{text} copy" for text in texts[:200] if len(set(text.split())) >= MIN_WORDS]
    groups = connected_groups(len(texts) + len(copies), [near_duplicate_texts([*texts, *copies])])
    originals = [row for row, text in enumerate(texts[:200]) if len(set(text.split())) >= MIN_WORDS]
    assert [groups[row] for row in originals] == groups[3000:].tolist()
