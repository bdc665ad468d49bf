"""Bytes of unknown encoding to text, by evidence; what the evidence leaves open is said.

Certain are: a byte-order mark, valid UTF-8, the NULs of UTF-16 and UTF-32, and GB18030 whose characters are those of
ordinary text. Every other reading is a guess, and comes with a sentence of doubt. Among the guesses the one wins in
which the largest share of the non-ASCII characters is expected where it stands. Two texts stay beyond reach: a few
common hanzi that are as common in another double-byte set, and single-byte sets of one script.
"""

import codecs
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile

_CERTAIN, _PLAUSIBLE = 0.9, 0.75  # least share of expected characters: of text without doubt, of a guess
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"), (b"\x84\x31\x95\x33", "gb18030"),
)  # fmt: skip
_SHORTEST = 6  # bytes of ASCII and controls that may be UTF-16
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_TYPOGRAPHIC = "‘’“”‚„…–—•€£©®™°«»¿¡§´·№"  # what stands alone in a text in a single-byte encoding
_WHITE = "\t\n\r\v\f\x1a"  # the last is the end of a file in DOS
_ODD_CATEGORIES = ("Cn", "Co", "Cs", "Cc")  # unassigned, private use, surrogates, controls
# The commonest hanzi: a Chinese text of some length has one of them, and Korean read as Chinese hardly ever.
_COMMONEST = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家"
    "种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日很太真今高笑爱吃"
)


@dataclass(frozen=True)
class DecodedText:
    """Text of a file.

    Attributes:
        text: with U+FFFD where bytes have no meaning.
        encoding: Python's name of it.
        doubt: a sentence, "" where nothing is in doubt.
        alternative: another encoding in which the bytes are ordinary text as well, "" for none. It is no doubt by
            itself, but is one beside files of that encoding.
    """

    text: str
    encoding: str
    doubt: str = ""
    alternative: str = ""


def decode_bytes(raw: bytes) -> DecodedText:
    """The most plausible reading of `raw`; never raises."""
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return _marked(raw.removeprefix(mark), encoding)
    if b"\0" in raw:
        without_nuls = raw.replace(b"\0", b"")
        # Half of the bytes of ASCII in UTF-16 are NULs; fewer among letters are damage, though they may read as hanzi.
        damaged = (
            len(without_nuls) > 0.6 * len(raw)
            and without_nuls.isascii()
            and not any(map(_is_odd, without_nuls.decode()))
        )
        wide = None if damaged else _wide(raw)
        if wide:
            return wide
        text = _strict(raw, "utf-8")
        reading = _guess(without_nuls) if text is None else DecodedText(text, "utf-8")
        doubt = "it holds NUL bytes and is no UTF-16"
        return DecodedText(reading.text.replace("\0", "\ufffd"), reading.encoding, doubt)
    text = _strict(raw, "utf-8")
    if text is None:
        return _guess(raw)
    if any(char < " " and char not in _WHITE for char in text):
        # The upper bytes of UTF-16 Cyrillic or Greek are controls.
        words = _wide(raw) if raw.isascii() and len(raw) >= _SHORTEST else None
        return words or DecodedText(text, "utf-8", "it holds control characters")
    return DecodedText(text, "utf-8", alternative=_alternative(raw, text))


def doubt_beside(reading: DecodedText, encodings: set[str]) -> str:
    """The doubt about one of several files of which the others are in `encodings`; "" for none."""
    if reading.doubt or reading.alternative not in encodings:
        return reading.doubt
    return f"read as {reading.encoding}; it may be {reading.alternative}, as other files here are"


def _marked(raw: bytes, encoding: str) -> DecodedText:
    """`raw` in the `encoding` of its byte-order mark."""
    text = raw.decode(encoding, errors="replace")
    lost = text.count("\ufffd") - raw.count("\ufffd".encode(encoding))
    doubt = f"{encoding} by its byte-order mark; {lost} of its characters are damaged" if lost > 0 else ""
    if "\0" in text:
        doubt = f"{encoding} by its byte-order mark; it holds NUL characters"
    return DecodedText(text.replace("\0", "\ufffd"), encoding, doubt)


def _wide(raw: bytes) -> DecodedText | None:
    """UTF-16 or UTF-32 without a byte-order mark; None where it would be no ordinary text."""
    texts = {encoding: text for encoding in _WIDE if (text := _strict(raw, encoding))}
    if not texts:
        return None
    # In the other order of bytes ASCII letters are hanzi, of which some are common.
    plain = {encoding: sum(map(str.isascii, text)) >= _CERTAIN * len(text) for encoding, text in texts.items()}
    shares = {encoding: plain[encoding] + share for encoding, text in texts.items()
              if (share := _ordinary(text)) >= _CERTAIN}  # fmt: skip
    if not shares:
        return None
    best, *alternatives = sorted(shares, key=lambda encoding: -shares[encoding])
    doubt = (
        f"read as {best}; it is ordinary text in {alternatives[0]} as well" if alternatives and not plain[best] else ""
    )
    return DecodedText(texts[best], best, doubt)


def _strict(raw: bytes, encoding: str) -> str | None:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return None


def _guess(raw: bytes) -> DecodedText:
    """A reading of bytes that are not UTF-8."""
    texts = {encoding: _strict(raw, encoding) for encoding in _SHARES}
    texts |= {encoding: raw.decode(encoding, errors="replace") for encoding in ("gb18030", "utf-8")}
    shares = {encoding: _SHARES[encoding](text) for encoding, text in texts.items() if text is not None}
    encoding = max(shares, key=lambda encoding: shares[encoding])
    cause = ", as its characters suggest"
    if _is_cut(raw):
        encoding, cause = "utf-8", ", which ends within a character"
    elif shares[encoding] < _PLAUSIBLE:
        encoding, cause = "gb18030", "; in no encoding is it ordinary text"
    text = texts[encoding] or ""
    damaged = text.count("\ufffd")
    if encoding == "gb18030" and shares[encoding] >= _CERTAIN and not damaged:
        return DecodedText(text, encoding)
    lost = f"; {damaged} of its characters are damaged" if damaged else ""
    return DecodedText(text, encoding, f"not valid UTF-8, read as {encoding}{cause}{lost}")


def _is_cut(raw: bytes) -> bool:
    """Whether `raw` is UTF-8 that ends within a character, after a whole one of three bytes or more."""
    try:
        return any(char > "\u07ff" for char in codecs.getincrementaldecoder("utf-8")().decode(raw))
    except UnicodeDecodeError:
        return False


def _is_odd(char: str) -> bool:
    return char not in _WHITE and unicodedata.category(char) in _ODD_CATEGORIES


def _is_hanzi(char: str) -> bool:
    return "\u3400" <= char <= "\u9fff"


def _is_kana(char: str) -> bool:
    return "\u3041" <= char <= "\u30ff"


def _is_cjk(char: str) -> bool:
    return "\u3000" <= char <= "\u30ff" or _is_hanzi(char) or "\uff00" <= char <= "\uffef"


def _is_korean(char: str) -> bool:
    return "\uac00" <= char <= "\ud7a3"


def _lead(char: str, encoding: str) -> int:
    """First byte of a character of two bytes, 0 for any other."""
    code = char.encode(encoding, errors="ignore")
    return code[0] if len(code) == 2 else 0


def _around(text: str, position: int) -> str:
    return text[max(0, position - 1) : position] + text[position + 1 : position + 2]


def _ordinary(text: str) -> float:
    """Share of characters that are of a common script; a rare hanzi counts half."""

    def weight(char: str) -> float:
        if _is_odd(char):
            return 0.0
        if _is_hanzi(char):
            first_level = 0xB0 <= _lead(char, "gb2312") <= 0xD7 or 0xA4 <= _lead(char, "big5") <= 0xC6
            return 1.0 if first_level else 0.5
        if _is_korean(char):
            return 0.95  # random bytes are Korean more often than anything
        known = (
            char < "\u0600" or "\u2000" <= char <= "\u2bff" or _is_cjk(char) or char >= "\U0001f000" or char == "\ufe0f"
        )
        return float(known)

    return sum(map(weight, text)) / len(text) if text else 0.0


def _share(text: str, is_expected: Callable[[str, int], bool]) -> float:
    """Share of the characters of `text` beyond ASCII that stand where they are expected."""
    positions = [position for position, char in enumerate(text) if char >= "\x80" or _is_odd(char)]
    return sum(is_expected(text, position) for position in positions) / len(positions) if positions else 0.0


def _chinese(text: str, encoding: str, common: range) -> float:
    """Most hanzi are of the first level of a set, and others stand beside hanzi or kana."""

    def is_expected(text: str, position: int) -> bool:
        char = text[position]
        if char == "\ufffd" or _is_odd(char) or "\uff61" <= char <= "\uff9f":
            return False
        return not _is_hanzi(char) or _lead(char, encoding) in common or any(map(_is_cjk, _around(text, position)))

    share = _share(text, is_expected)
    hanzi = list(filter(_is_hanzi, text))
    if len(hanzi) > 2 * sum(map(_is_kana, text)):
        share *= min(1.0, 2 * sum(_lead(char, encoding) in common for char in hanzi) / len(hanzi))
    return share


def _gb18030(text: str) -> float:
    share, hanzi = _chinese(text, "gb2312", range(0xB0, 0xD8)), list(filter(_is_hanzi, text))
    may_be_korean = len(hanzi) >= 4 and all(0xB0 <= _lead(char, "gb2312") <= 0xC8 for char in hanzi)
    return share * 0.8 if may_be_korean and not _COMMONEST.intersection(hanzi) else share


def _japanese(text: str) -> float:
    share = _share(text, lambda text, position: _is_cjk(text[position]) and not "\uff61" <= text[position] <= "\uff9f")
    return share * any(map(_is_kana, text))


def _korean(text: str) -> float:
    share = _share(text, lambda text, position: _is_korean(text[position]) or "\u3000" <= text[position] <= "\u303f")
    return share * (sum(map(_is_korean, text)) > 3)


def _western(text: str) -> float:
    """Accented letters within words of ASCII letters, and signs that stand alone."""

    def is_expected(text: str, position: int) -> bool:
        char, around = text[position], _around(text, position)
        if char in _TYPOGRAPHIC:
            return not any(neighbor > "\x7f" and neighbor not in _TYPOGRAPHIC for neighbor in around)
        if not char.isalpha() or (char.isupper() and position > 0 and text[position - 1].islower()):
            return False
        before, after = (takewhile(str.isalpha, part) for part in (text[:position][::-1], text[position + 1 :]))
        word = [*before, *after]
        return any(map(str.isascii, word)) or (char in "àèéóôÀÉ" and not word)

    return _share(text, is_expected)


def _cyrillic(text: str) -> float:
    """Words of Cyrillic letters, capitals only in front or throughout, one of them of three letters or more."""

    def is_cyrillic(char: str) -> bool:
        return "\u0400" <= char <= "\u045f"

    def is_expected(text: str, position: int) -> bool:
        char, around = text[position], _around(text, position)
        if char in _TYPOGRAPHIC:
            return not any(map(is_cyrillic, around)) or not around[0].isspace()
        in_case = char.islower() or not (position > 0 and text[position - 1].islower())
        return is_cyrillic(char) and in_case and all(is_cyrillic(neighbor) for neighbor in around if neighbor.isalpha())

    words = "".join(char if is_cyrillic(char) else " " for char in text).split()
    return _share(text, is_expected) * any(len(word) > 2 for word in words)


_SHARES: dict[str, Callable[[str], float]] = {  # of equal shares the first wins
    "gb18030": _gb18030,
    "utf-8": lambda text: _share(text, lambda text, at: text[at] != "\ufffd" and not _is_odd(text[at])),  # damaged
    "euc_kr": _korean,
    "big5": lambda text: _chinese(text, "big5", range(0xA4, 0xC7)) * (sum(map(_is_hanzi, text)) > 2),
    "shift_jis": _japanese,
    "cp1252": _western,
    "cp1251": _cyrillic,
    "utf-16-le": _ordinary,
    "utf-16-be": _ordinary,
}


def _alternative(raw: bytes, text: str) -> str:
    """`gb18030` where valid UTF-8 is ordinary Chinese as well, and as UTF-8 only signs or letters that stand alone."""
    if raw.isascii() or max(text) > "\u07ff":  # three bytes of UTF-8 are hardly ever two of GB18030
        return ""
    chinese = _strict(raw, "gb18030")
    foreign = [position for position, char in enumerate(text) if char > "\x7f"]
    in_word = any(text[position].isalpha() and any(map(str.isalpha, _around(text, position))) for position in foreign)
    return "gb18030" if chinese is not None and not in_word and _gb18030(chinese) >= _CERTAIN else ""
