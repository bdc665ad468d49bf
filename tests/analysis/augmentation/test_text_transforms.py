import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.analysis.augmentation.text_transforms import TRANSFORMS


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("emoji_words", "so good😂!", "so good face with tears of joy !"),
        ("emoji_words", "👍🏽 yes", "thumbs up medium skin tone yes"),
        ("emoji_words", "no emoji: 5 # *", "no emoji: 5 # *"),
        ("emoji_marker", "😂😂 wow ❤️", "[emoji] [emoji] wow [emoji]"),
        ("emoji_marker", "family 👨‍👩‍👧 day", "family [emoji] day"),
        ("collapse_repeats", "soooo coooool!!!!! ok", "soo cool!! ok"),
        ("collapse_repeats", "哈哈哈哈 10000 wait...", "哈哈 10000 wait..."),
        (
            "collapse_repeats",
            "yesss http://www.t.co/aaaa www.xxx.com",
            "yess http://www.t.co/aaaa www.xxx.com",
        ),
        ("strip_urls", "see http://t.co/x1 and www.a.org now", "see and now"),
        ("strip_urls", "HTTPS://T.CO/X", ""),
        ("strip_handles", "RT @user_1: hi @you!", "RT hi !"),
        ("strip_handles", "mail me@home.org", "mail me@home.org"),
        ("split_hashtags", "#GoodMorning2016 all", "Good Morning 2016 all"),
        ("split_hashtags", "#NBAFinals #throw_back #café", "NBA Finals throw back café"),
        ("split_hashtags", "we are #1 &#39;", "we are #1 &#39;"),
        ("lowercase", "Größe  SO Big\n", "größe so big"),
    ],
)
def test_values(name, text, expected):
    assert TRANSFORMS[name](text) == expected


@given(st.sampled_from(sorted(TRANSFORMS)), st.text(alphabet=st.sampled_from("aAo 1#@_.!😂❤️哈:/\n")))
def test_results_are_tidy(name, text):
    result = TRANSFORMS[name](text)
    assert result == " ".join(result.split())


@given(st.text(alphabet=st.sampled_from("abAB 12#@!?😂")))
def test_collapsing_twice_changes_nothing_more(text):
    once = TRANSFORMS["collapse_repeats"](text)
    assert TRANSFORMS["collapse_repeats"](once) == once
