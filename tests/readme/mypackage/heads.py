"""The reader's own head, which docs/trust.md names."""

from hallmark.learning.heads import ConcatHead


class MyHead(ConcatHead):
    """As the one that it is made from."""
