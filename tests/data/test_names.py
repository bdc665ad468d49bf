import re

import pytest

from hallmark.data.names import PIECE, WORD, NamedTexts

NAMES = {"Aoi": ["Aoi"], "Ren": ["Ren"], "Hatsune_Miku": ["Hatsune_Miku", "初音ミク"], "小夜": ["小夜", "Sayo"]}


def spans(*pieces: str):
    """A tokenizer that knows these pieces, the longest first, and letters."""
    pattern = re.compile("|".join([*sorted(pieces, key=len, reverse=True), r"\w"]), re.IGNORECASE)
    return lambda text: [match.span() for match in pattern.finditer(text)]


def kinds(text: str, tokenizer=None, names=NAMES) -> dict[str, str]:
    return {finding.alias: finding.kind for finding in NamedTexts([text], names, tokenizer).find()}


@pytest.mark.parametrize(
    ("text", "alias"),
    [
        ("this is Aoi.", "Aoi"), ("AOI's hair", "Aoi"), ("ＡＯＩ", "Aoi"), ("áoi with blue eyes", "Aoi"),
        ("hatsune miku smiles", "Hatsune_Miku"), ("HatsuneMiku", "Hatsune_Miku"), ("(hatsune-miku)", "Hatsune_Miku"),
        ("画中的初音ミクに", "初音ミク"), ("她是小夜的妹妹", "小夜"), ("sayo, in white", "Sayo"), ("小 夜", "小夜"),
    ],
)  # fmt: skip
def test_a_name_or_alias_is_found_as_a_word_in_any_script(text, alias):
    assert kinds(text) == {alias: WORD}


@pytest.mark.parametrize(
    "text",
    ["", "children with brown hair", "aoide", "小 and 夜", "小的夜", "Hatsune alone", "a rental", "miku hatsune"],
)
def test_what_only_looks_like_a_name_is_none(text):
    assert kinds(text) == {}


def test_a_name_that_a_tokenizer_cuts_out_of_a_word_is_found_in_its_pieces():
    tokenizer = spans("aoi", "chan", "child", "ren", "tal", "mysayos")
    assert kinds("sayochan", spans("sayo", "chan")) == {"Sayo": PIECE}
    # Short names are parts of too many words.
    assert kinds("children", tokenizer) == {}
    assert kinds("rental", tokenizer) == {}
    assert kinds("xSayox", spans("sayo")) == {"Sayo": PIECE} and kinds("mysayos", tokenizer) == {}
    # Several pieces may be a name together.
    assert kinds("sayochan", spans("sa", "chan")) == {"Sayo": PIECE}
    assert kinds("sayochan", spans("sayoc", "han")) == {}
    assert kinds("Sayo and sayochan", spans("sayo", "chan")) == {"Sayo": WORD}
    assert kinds("她是小夜", tokenizer) == {"小夜": WORD}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("🦊", "a🦊girl"), ("❤️", "I ❤ her"), ("---", "she is --- again"), ("Lelouch", "Lelouch2 smiles"),
        ("2B", "2b, in black"), ("محمد", "هذا مُحَمَّدٌ"), ("مُحَمَّد", "محمد"), ("אסתר", "אֶסְתֵּר"), ("محمد", "محـــمد"),
    ],
)  # fmt: skip
def test_names_of_symbols_before_digits_and_with_vowel_marks_are_found(name, text):
    assert kinds(text, names={name: [name]}) == {name: WORD}


@pytest.mark.parametrize(("name", "text"), [("---", "a ---- b"), ("-", "blue-eyed"), ("はら", "ばら"), ("🦊", "fox")])
def test_a_symbol_within_others_and_another_kana_are_no_name(name, text):
    assert kinds(text, names={name: [name]}) == {}
