import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.data.text import mark_links, normalize_text


@pytest.mark.parametrize(
    "copy",
    [
        "RT @someone: What a GREAT day!",
        "rt @Someone what a great day",
        "Rt @a: RT @b: What a great day... https://t.co/AbC",
        "what   a great\nday @friend",
        "HTTP://T.CO/x What_a great-day",
    ],
)
def test_copies_of_one_tweet_are_equal(copy: str) -> None:
    assert normalize_text(copy) == "what a great day" == normalize_text("What a great day")


def test_other_words_stay_other() -> None:
    assert normalize_text("what a great day") != normalize_text("what a grey day")
    assert normalize_text("start a riot") == "start a riot"  # rt within a word is no retweet mark
    assert normalize_text("Straße") == normalize_text("STRASSE")


def test_a_text_without_words_says_nothing() -> None:
    assert normalize_text("RT @a: https://t.co/x 😀 !!") == ""


noisy = st.lists(st.sampled_from(["RT @a: ", "rt", "@b", "https://x.y", "_", "ß", "İ", "é", "字"]) | st.text())


@given(noisy.map("".join))
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalize_text(text)
    assert normalize_text(once) == once
    assert once == once.strip() and "  " not in once


@given(st.text(alphabet="abcdefgh ZÄ字"), st.from_regex(r"\A\w{1,8}\Z"))
def test_a_retweet_equals_its_source_in_any_case(text: str, user: str) -> None:
    assert normalize_text(f"RT @{user}: {text.upper()}") == normalize_text(text)


def test_links_and_handles_are_marked_and_nothing_else() -> None:
    text = "RT @Anna_1: see HTTPS://t.co/aB3 and http:… mail me: a b #tag"
    assert mark_links(text) == "RT @user: see http and http mail me: a b #tag"
    assert mark_links(mark_links(text)) == mark_links(text)
