"""Coefficients that the user has tuned."""

from collections.abc import Mapping, Sequence

import torch

from hallmark.checks import require
from hallmark.learning.balancing.base import Balancer


class Fixed(Balancer):
    """w as given; tuned well it matches the adaptive methods (Kurin et al. 2022, arXiv 2201.04122).

    Args:
        coefficients: of every term by its name, at least 0 and not all 0.
    """

    def __init__(self, terms: Sequence[str], *, coefficients: Mapping[str, float]) -> None:
        super().__init__(terms)
        by_term = dict(coefficients)
        require(by_term.keys() == set(terms), "coefficients", by_term, f"one for each of {', '.join(terms)}")
        for term, value in by_term.items():
            require(value >= 0, f"coefficients.{term}", value, "at least 0")
        require(any(by_term.values()), "coefficients", by_term, "at least one above 0")
        self.weights = torch.tensor([float(by_term[term]) for term in terms])
