"""A generated corpus of pictures and tweets, in the folder layout of the real one."""

from hallmark.systems.sentiment.sample.world import generate

__all__ = ["generate"]
