"""Text that somebody else wrote, on its way to a terminal or into a table."""


def printable(text: str) -> str:
    """`text` in one line, its control characters and halves of surrogate pairs written out."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def shortened(text: str, length: int = 80) -> str:
    """The first `length` characters of `printable`; of a longer text it says how long it is."""
    line = printable(text)
    return line if len(line) <= length else f"{line[:length]}… ({len(text):,} characters)"
