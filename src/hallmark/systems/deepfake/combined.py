"""What is made of detectors: the stack, and the cascade."""

from collections.abc import Mapping, Sequence

from hallmark.checks import require
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.fitted.module import FittedModule
from hallmark.learning.module import PredictingModule
from hallmark.runs.metrics import MAIN
from hallmark.statistics import CLASSIFICATION_METRICS, TWO_CLASS_METRICS
from hallmark.systems.deepfake.tables import VIDEO


class CombinedDetectors(FittedModule):
    """Base of the modules whose parents are detectors of the same two classes, and which see what these see.

    Args:
        classes: real and fake.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        super().__init__()
        self.classes = list(classes)

    def attach_parents(self, parents: Mapping[str, PredictingModule]) -> None:
        for role, parent in parents.items():
            of_parent = getattr(parent, "classes", None)
            kind = f"of {', '.join(of_parent)}" if of_parent else f"a {type(parent).__name__}"
            expected = f"a classifier of {', '.join(self.classes)}, in this order; this one is {kind}"
            require(of_parent == self.classes, role, of_parent, expected)
        super().attach_parents(parents)

    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return self.parent_inputs

    @property
    def measured(self) -> Mapping[str, Sequence[str]]:
        return dict.fromkeys((MAIN, VIDEO), (*CLASSIFICATION_METRICS, *TWO_CLASS_METRICS))
