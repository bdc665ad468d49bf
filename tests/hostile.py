"""What strangers may send: names of files and files of a corpus, and changed archives."""

import struct
from collections.abc import Iterable
from random import Random

from hallmark.data.problems import Problem

OUTSIDE = "outside"
"""A file beside the corpus, which no name may reach."""

NAMES = {
    "a folder above": f"../{OUTSIDE}",
    "two folders above": f"../../{OUTSIDE}",
    "above from below": f"a/../../{OUTSIDE}",
    "an absolute path": "/etc/passwd",
    "a path of another system": f"..\\..\\{OUTSIDE}",
    "a drive": "C:\\x",
    "a NUL": "a\0b",
    "an end of line": "a\nb",
    "too long": "n" * 5000,
    "too many bytes": "字" * 90,
}


def readable(problems: Iterable[Problem]) -> bool:
    """True if each problem is one line that can be printed, of a bounded length, whatever its file is called."""
    texts = [(problem.id, 1100) for problem in problems] + [(problem.detail, 600) for problem in problems]
    return all(text.isprintable() and len(text) < length for text, length in texts)


def with_exif_rational(jpeg: bytes, numerator: int, denominator: int) -> bytes:
    """A JPEG that lies on its side, and whose resolution is a fraction of the given (signed) numbers."""
    entries = [struct.pack("<HHII", 0x0112, 3, 1, 6), struct.pack("<HHII", 0x011A, 10, 1, 38)]
    directory = struct.pack("<H", 2) + b"".join(entries) + struct.pack("<I", 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + directory + struct.pack("<ii", numerator, denominator)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def mutate(content: bytearray, draw: Random) -> None:
    """One change somewhere, more often in the last third, where an archive has its directory of files."""
    last = max(1, len(content) // 3)
    at = draw.randrange(len(content) or 1) if draw.random() < 0.3 else len(content) - 1 - draw.randrange(last)
    kind = draw.randrange(4)
    if kind == 0:
        content[at : at + 1] = [draw.randrange(256)]
    elif kind == 1:
        content[at : at + 4] = draw.choice([b"\xff" * 4, bytes(4), b"PK\5\6", b"PK\1\2", b"/../", b"\0\0\0\x80"])
    elif kind == 2:
        del content[at : at + draw.randint(1, 64)]
    else:
        content[at:at] = content[max(0, at - draw.randint(1, 200)) : at]
