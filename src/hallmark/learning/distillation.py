"""What a student learns from the logits of its teacher."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torch.nn.functional import kl_div, one_hot

from hallmark.checks import require


def kd_loss(student: Tensor, teacher: Tensor, *, temperature: float) -> Tensor:
    """T²·KL(softmax(teacher/T) ‖ softmax(student/T)), the mean over rows (Hinton et al. 2015, arXiv:1503.02531).

    T² keeps its gradients as large as those of a cross-entropy, whatever the temperature.

    Args:
        student, teacher: logits [B, C] of the same classes in the same order.
    """
    of_student, of_teacher = ((logits / temperature).log_softmax(dim=1) for logits in (student, teacher))
    return temperature**2 * kl_div(of_student, of_teacher, reduction="batchmean", log_target=True)


def dkd_loss(
    student: Tensor, teacher: Tensor, target: Tensor, *, alpha: float, beta: float, temperature: float
) -> Tensor:
    """T²·(α·TCKD + β·NCKD), the mean over rows (Zhao et al. 2022, arXiv:2203.08679).

    TCKD is the divergence between how both divide probability into the target and all other classes, NCKD that between
    their distributions over the other classes. `kd_loss` weighs the latter by what the teacher gives these classes,
    which of a sure teacher is nothing.

    Args:
        student, teacher: logits [B, C] of the same classes in the same order.
        target: classes [B].
    """
    is_target = one_hot(target, student.shape[1]).bool()
    binary, others = [], []
    for logits in (student, teacher):
        log_probabilities = (logits / temperature).log_softmax(dim=1)
        of_others = log_probabilities.masked_fill(is_target, -torch.inf).logsumexp(dim=1)
        binary.append(torch.stack([log_probabilities[is_target], of_others], dim=1))
        others.append((logits / temperature)[~is_target].unflatten(0, (len(logits), -1)).log_softmax(dim=1))
    tckd, nckd = (kl_div(q, p, reduction="batchmean", log_target=True) for q, p in (binary, others))
    return temperature**2 * (alpha * tckd + beta * nckd)


class Distillation(ABC):
    """A loss of a student's logits beside those of its teacher.

    Args:
        temperature: T by which logits are divided.
        warmup: share of the steps over which the weight of the loss rises to 1.
    """

    def __init__(self, *, temperature: float, warmup: float) -> None:
        require(temperature > 0, "temperature", temperature, "above 0")
        require(0 <= warmup < 1, "warmup", warmup, "a share of the steps in [0, 1)")
        self.temperature, self.warmup = temperature, warmup

    @abstractmethod
    def __call__(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        """The mean over rows of logits [B, C] of either and classes [B]."""

    def factor(self, step: int, total_steps: int) -> float:
        """Weight of the loss at `step`, in (0, 1]."""
        return min(1.0, (step + 1) / max(1.0, self.warmup * total_steps))


class KnowledgeDistillation(Distillation):
    """`kd_loss` times `weight`; the other arguments are those of `Distillation`."""

    def __init__(self, *, weight: float, temperature: float, warmup: float) -> None:
        super().__init__(temperature=temperature, warmup=warmup)
        require(weight > 0, "weight", weight, "above 0")
        self.weight = weight

    def __call__(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        return self.weight * kd_loss(student, teacher, temperature=self.temperature)


class DecoupledDistillation(Distillation):
    """`dkd_loss`; the other arguments are those of `Distillation`."""

    def __init__(self, *, alpha: float, beta: float, temperature: float, warmup: float) -> None:
        super().__init__(temperature=temperature, warmup=warmup)
        require(alpha >= 0, "alpha", alpha, "at least 0")
        require(beta >= 0, "beta", beta, "at least 0")
        require(alpha + beta > 0, "beta", beta, "above 0 where alpha is 0")
        self.alpha, self.beta = alpha, beta

    def __call__(self, student: Tensor, teacher: Tensor, target: Tensor) -> Tensor:
        weights = {"alpha": self.alpha, "beta": self.beta}
        return dkd_loss(student, teacher, target, temperature=self.temperature, **weights)
