"""A generated world of flat shapes and expressions for them, in the schema of refcoco-m."""

from hallmark.systems.refseg.sample.world import generate

__all__ = ["generate"]
