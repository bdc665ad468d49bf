"""Balancing of several loss terms: one method a file. Configurations name the methods as members of this package."""

from hallmark.learning.balancing.alternating import Alternating
from hallmark.learning.balancing.balanced import Balanced
from hallmark.learning.balancing.dwa import Dwa
from hallmark.learning.balancing.equal import Equal
from hallmark.learning.balancing.famo import Famo
from hallmark.learning.balancing.fixed import Fixed
from hallmark.learning.balancing.gradnorm import GradNorm
from hallmark.learning.balancing.pcgrad import PcGrad
from hallmark.learning.balancing.uncertainty import Uncertainty

__all__ = ["Alternating", "Balanced", "Dwa", "Equal", "Famo", "Fixed", "GradNorm", "PcGrad", "Uncertainty"]
