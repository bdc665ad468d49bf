"""Bytes of unknown encoding: what is certain is read without a word, what is a guess says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.storage.decoding import decode_bytes, doubt_beside

CERTAIN = [
    ("utf-8", "café – 今天 😀"),
    ("utf-8-sig", "plain"),
    ("utf-16", "so happy today 😀"),
    ("utf-16-le", "so happy today"),
    ("utf-16-be", "so happy today"),
    ("utf-16-le", "今天很开心 great"),
    ("utf-16-le", "привет"),
    ("utf-32", "hello"),
    ("utf-32-le", "hello"),
    ("gb18030", "今天很开心"),
    ("gb18030", "I ain’t “sad” – wait…"),
    ("gb18030", "我love你 😀"),
    ("gb18030", "無断使用禁止 #私の画像"),
    ("gb18030", "好"),
]
GUESSED = [
    ("cp1252", "Don’t let “this” go… café"),
    ("cp1252", "créé à Paris"),
    ("cp1252", "20 € – cheap"),
    ("cp1251", "Сегодня хорошая погода"),
    ("big5", "今天天氣很好"),
    ("shift_jis", "今日はとてもいい天気ですね"),
    ("euc_kr", "오늘은 날씨가 좋네요"),
]


@pytest.mark.parametrize(("encoding", "text"), CERTAIN)
def test_what_the_bytes_prove_is_read_without_doubt(encoding: str, text: str) -> None:
    reading = decode_bytes(text.encode(encoding))
    assert (reading.text, reading.doubt) == (text, "")


@pytest.mark.parametrize(("encoding", "text"), GUESSED)
def test_what_only_its_characters_suggest_is_read_and_doubted(encoding: str, text: str) -> None:
    reading = decode_bytes(text.encode(encoding))
    assert (reading.text, reading.encoding) == (text, encoding)
    assert encoding in reading.doubt


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"fine \xff\xff end", "fine \ufffd\ufffd end"),
        ("今天很开心".encode()[:-1], "今天很开\ufffd"),
        ("今天很开心".encode("gb18030")[:-1], "今天很开\ufffd"),
        ("今天".encode("utf-16")[:-1], "今\ufffd"),
        (b"a\0b c", "a\ufffdb c"),
        (b"bad\0text", "bad\ufffdtext"),
        (b"a\0b\0\0c today", "a\ufffdb\ufffd\ufffdc today"),
        ("嵐 and 囧".encode("gb18030"), "嵐 and 囧"),
        (b"\x01\x02", "\x01\x02"),
    ],
)
def test_damage_and_what_is_no_ordinary_text_are_doubted(raw: bytes, text: str) -> None:
    reading = decode_bytes(raw)
    assert reading.text == text
    assert reading.doubt


def test_one_text_of_two_readings_is_doubted_beside_files_of_the_second() -> None:
    laugh = decode_bytes("(笑)".encode("gb18030"))
    assert (laugh.text, laugh.encoding, laugh.doubt) == ("(Ц)", "utf-8", "")
    assert doubt_beside(laugh, {"utf-8"}) == ""
    assert "gb18030" in doubt_beside(laugh, {"utf-8", "gb18030"})
    for clear in ("café", "привет", "今天", "plain"):
        assert doubt_beside(decode_bytes(clear.encode()), {"utf-8", "gb18030"}) == ""


# Of lone signs no encoding can be told: an ellipsis in UTF-16 is "& ".
_WORD = st.sampled_from(["happy", "today", "今天", "开心", "很好", "don’t", "“so”", "–", "…", "😀", "love", "我们"])
_WORDS = st.lists(_WORD, min_size=1, max_size=8)


@given(
    _WORDS.map(lambda words: " ".join(["happy", *words])),
    st.sampled_from(["utf-8", "utf-16", "utf-32", "gb18030", "utf-16-le", "utf-16-be"]),
)
def test_words_survive_every_encoding_that_is_beyond_doubt(text: str, encoding: str) -> None:
    reading = decode_bytes(text.encode(encoding))
    assert reading.text == text or reading.doubt


@given(st.binary())
def test_any_bytes_have_a_reading_without_nuls(raw: bytes) -> None:
    assert "\0" not in decode_bytes(raw).text
