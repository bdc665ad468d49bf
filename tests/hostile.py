"""What a corpus of a stranger may hold: names of files, and files."""

import struct

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
    "too long": "n" * 300,
    "too many bytes": "字" * 90,
}


def with_exif_rational(jpeg: bytes, numerator: int, denominator: int) -> bytes:
    """A JPEG that lies on its side, and whose resolution is a fraction of the given (signed) numbers."""
    entries = [struct.pack("<HHII", 0x0112, 3, 1, 6), struct.pack("<HHII", 0x011A, 10, 1, 38)]
    directory = struct.pack("<H", 2) + b"".join(entries) + struct.pack("<I", 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + directory + struct.pack("<ii", numerator, denominator)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
