"""A text classifier that learns from another one."""

from torch import Tensor

from hallmark.learning.module import Batch
from hallmark.runs.parents import Use
from hallmark.systems.sentiment.module import PairClassifier


class Student(PairClassifier):
    """Its loss has the distance to the logits of its teacher."""

    @classmethod
    def parent_roles(cls, arguments):
        return {"teacher": Use.WEIGHTS}

    def loss(self, batch: Batch) -> Tensor:
        return super().loss(batch) + (self(batch) - self.parents["teacher"](batch)).square().mean()


class Pupil(Student):
    """It is trained on what its teacher predicts."""

    @classmethod
    def parent_roles(cls, arguments):
        return {"teacher": Use.PREDICTIONS}
