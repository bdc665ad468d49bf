"""Every term counts the same."""

from hallmark.learning.balancing.base import Balancer


class Equal(Balancer):
    """w = 1: the sum of the losses."""
