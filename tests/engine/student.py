"""Classifiers of digits that are made with another one, and what their runs share."""

from torch import Tensor

from hallmark.learning.module import Batch
from hallmark.runs.parents import Use
from hallmark.systems.digits.data import DigitsDataModule
from hallmark.systems.digits.module import DigitsClassifier

DIGITS = (
    "experiment=digits_classifier", "data.classes=['0','1']", "trainer.max_epochs=1", "trainer.limit_train_batches=2",
)  # fmt: skip
STUDENT = (*DIGITS, "name=student", "model._target_=tests.engine.student.Student", "trusted_packages=[tests]")
PARENT = "{experiment: digits_classifier, overrides: ['trainer.max_epochs=1', 'trainer.limit_train_batches=2']}"
MADE = (*DIGITS, "name=child", "model.dropout=0.3", f"+parents.init_from={PARENT}")
STACKER = (
    *STUDENT, "model._target_=tests.engine.student.Stacker", f"+parents.teacher={PARENT}", "out_of_fold.folds=2",
)  # fmt: skip


class HashedOtherwise(DigitsDataModule):
    """The same rows, known by other hashes."""

    def read(self):
        samples, problems = super().read()
        return samples.assign(content=[f"other {content}" for content in samples["content"]]), problems


class Student(DigitsClassifier):
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


class Stacker(Student):
    """It sees what its teacher predicts of each training row without having been fitted on it."""

    @classmethod
    def parent_roles(cls, arguments):
        return {"teacher": Use.OUT_OF_FOLD}

    def setup(self, stage: str) -> None:
        super().setup(stage)
        if stage == "fit":
            rows = self.trainer.datamodule.rows("train")
            assert set(self.out_of_fold["teacher"]["id"]) == set(rows["id"])
