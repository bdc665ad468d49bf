"""Names that a corpus of a stranger may give its files."""

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
