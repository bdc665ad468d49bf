"""Generated recordings of body signals and touch, in the folder layout of real ones."""

from hallmark.systems.touch.sample.world import generate

__all__ = ["generate"]
