"""A small classifier of characters that learns from the answers of a large one."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from hallmark.checks import SettingError, require
from hallmark.learning.distillation import Distillation
from hallmark.learning.module import Batch, PredictingModule
from hallmark.runs.parents import Use
from hallmark.systems.characters.module import CharacterClassifier

TEACHER = "teacher"


class CharacterStudent(CharacterClassifier):
    """A classifier whose loss is a cross-entropy and what `distillation` says of its parent `teacher`.

    The teacher sees the pixels that the student sees, augmented in the same way (Beyer et al. 2021, arXiv:2106.05237),
    resized where its encoder looks at pictures of another size, and normalizes them itself. Its classes are matched by
    name; those that the student does not have are left out of its softmax.

    Args:
        distillation: None for the control: the same student on the same cross-entropy, without a teacher.
        cross_entropy: weight of the cross-entropy. That of a control as large as the sum of the weights of another
            student has losses of the same scale.
        arguments: of `CharacterClassifier`; its encoder is not frozen.
    """

    def __init__(self, *, distillation: Distillation | None, cross_entropy: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        require(cross_entropy >= 0, "cross_entropy", cross_entropy, "at least 0")
        learns = cross_entropy > 0 or distillation is not None
        require(learns, "cross_entropy", cross_entropy, "above 0 where there is no distillation")
        is_frozen = self.encoder.frozen
        require(not is_frozen, "encoder.frozen", is_frozen, "false: a teacher sees the pictures, not their embeddings")
        self.distillation, self.cross_entropy = distillation, cross_entropy
        self.teacher_columns: Tensor
        self.register_buffer("teacher_columns", torch.arange(len(self.classes)), persistent=False)
        self._teacher_log, self._total_steps = pd.DataFrame(), 1

    @classmethod
    def parent_roles(cls, arguments: Mapping[str, Any]) -> Mapping[str, Use]:
        return {} if arguments["distillation"] is None else {TEACHER: Use.WEIGHTS}

    def attach_parents(self, parents: Mapping[str, PredictingModule]) -> None:
        for role, parent in parents.items():
            if not isinstance(parent, CharacterClassifier):
                kind = type(parent).__name__
                raise SettingError(role, kind, f"a classifier of characters; this one is a {kind}")
            missing = [name for name in self.classes if name not in parent.classes]
            expected = f"one that knows all characters of this model; it does not know {', '.join(missing[:10])}"
            require(not missing, role, f"a classifier of {len(parent.classes)} characters", expected)
            columns = torch.tensor([parent.classes.index(name) for name in self.classes])
            self.teacher_columns = columns.to(self.teacher_columns.device)
        super().attach_parents(parents)

    def teacher_logits(self, batch: Batch) -> Tensor:
        """What the teacher answers of the pixels of a batch, [B, C] in the order of this model's classes."""
        teacher = self.parents[TEACHER]
        assert isinstance(teacher, CharacterClassifier)
        pixels, size = batch["image"], teacher.encoder.image_size
        if size != self.encoder.image_size:
            pixels = interpolate(pixels.float(), size=(size, size), mode="bicubic", antialias=True).clamp(0, 255)
        with torch.no_grad():
            return teacher({"image": pixels})[:, self.teacher_columns]

    def loss(self, batch: Batch) -> Tensor:
        logits, target = self(batch), batch["target"]
        loss = self.cross_entropy * self.criterion(logits, target)
        if self.distillation is None:
            return loss
        factor = self.distillation.factor(self.trainer.global_step, self._total_steps)
        return loss + factor * self.distillation(logits, self.teacher_logits(batch), target)

    def on_fit_start(self) -> None:
        super().on_fit_start()
        if self.distillation is not None:
            self._total_steps = int(self.trainer.estimated_stepping_batches)
            seen, unseen = (self._asked(split, self.distillation.temperature) for split in ("train", "val"))
            self._teacher_log = pd.DataFrame([seen, unseen])
            if self.trainer.is_global_zero:
                lines = [
                    f"teacher on {row['rows']} {row['split']} rows: accuracy {row['accuracy']:.3f}, mean entropy "
                    f"{row['entropy']:.3f} nats, at temperature {self.distillation.temperature:g} "
                    f"{row['softened_entropy']:.3f}"
                    for row in (seen, unseen)
                ]
                gap = f"gap of its accuracies: {seen['accuracy'] - unseen['accuracy']:+.3f}"
                print(*lines, gap, sep="\n", flush=True)

    def training_logs(self) -> dict[str, pd.DataFrame]:
        """`teacher`: its accuracy and mean entropy in nats on the rows that train and select the student, without
        augmentation. Of a teacher that knows the training rows by heart there is little to learn beside their labels.
        """
        return {**super().training_logs(), **({} if self._teacher_log.empty else {TEACHER: self._teacher_log})}

    def _asked(self, split: str, temperature: float) -> dict[str, Any]:
        data, n, right, entropy, softened = self.trainer.datamodule, 0, 0.0, 0.0, 0.0  # type: ignore[attr-defined]
        for batch in data.eval_dataloader(split):
            logits = self.teacher_logits({"image": batch["image"].to(self.device)}).cpu().double()
            n += len(logits)
            right += float((logits.argmax(dim=1) == batch["target"]).sum())
            entropy += float(torch.special.entr(logits.softmax(dim=1)).sum())
            softened += float(torch.special.entr((logits / temperature).softmax(dim=1)).sum())
        return {
            "split": split, "rows": n, "accuracy": right / n, "entropy": entropy / n, "softened_entropy": softened / n
        }  # fmt: skip
