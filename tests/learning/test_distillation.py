"""Losses of distillation against numbers by hand and against the published form of each."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from hallmark.checks import SettingError
from hallmark.learning.distillation import DecoupledDistillation, KnowledgeDistillation, dkd_loss, kd_loss

LOGITS = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
STUDENT, TEACHER = LOGITS
TARGET = torch.tensor([0, 1, 2, 3, 4, 0])


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL of each row, term by term."""
    return torch.stack([sum(a * (a / b).log() for a, b in zip(*pair, strict=True)) for pair in zip(p, q, strict=True)])


def published_dkd(student: Tensor, teacher: Tensor, target: Tensor, alpha: float, beta: float, t: float) -> Tensor:
    """As the authors compute it: probabilities of target and others, and a target that is masked by −1000."""
    mask = torch.zeros_like(student).scatter_(1, target.unsqueeze(1), 1)
    pairs = []
    for logits in (student, teacher):
        p = (logits / t).softmax(dim=1)
        pairs.append(torch.stack([(p * mask).sum(1), (p * (1 - mask)).sum(1)], dim=1))
    tckd = divergence(pairs[1], pairs[0]).mean() * t**2
    of_others = [(logits / t - 1000 * mask).softmax(dim=1) for logits in (student, teacher)]
    nckd = torch.where(mask.bool(), 0, of_others[1] * (of_others[1] / of_others[0]).log()).sum(1).mean() * t**2
    return alpha * tckd + beta * nckd


def test_two_rows_by_hand():
    # The teacher says 3/4 and 1/4, the student 1/2 and 1/2: KL is 3/4·log 3/2 + 1/4·log 1/2, and of no others nothing.
    teacher, student = torch.tensor([[math.log(3), 0.0]]), torch.zeros(1, 2)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert kd_loss(student, teacher, temperature=1).item() == pytest.approx(expected)
    weights = {"alpha": 1.0, "beta": 8.0, "temperature": 1.0}
    assert dkd_loss(student, teacher, torch.tensor([0]), **weights).item() == pytest.approx(expected, rel=1e-5)
    # At temperature 2 of logits twice as large the same times four.
    assert kd_loss(2 * student, 2 * teacher, temperature=2).item() == pytest.approx(4 * expected)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_both_losses_are_those_of_their_papers(temperature):
    of_teacher, of_student = ((logits / temperature).softmax(1) for logits in (TEACHER, STUDENT))
    reference = temperature**2 * divergence(of_teacher, of_student).mean()
    torch.testing.assert_close(kd_loss(STUDENT, TEACHER, temperature=temperature), reference)
    for alpha, beta in ((1.0, 8.0), (0.5, 0.0), (0.0, 2.0)):
        reference = published_dkd(STUDENT, TEACHER, TARGET, alpha, beta, temperature)
        computed = dkd_loss(STUDENT, TEACHER, TARGET, alpha=alpha, beta=beta, temperature=temperature)
        torch.testing.assert_close(computed, reference)


def test_kd_is_dkd_whose_others_are_weighed_by_what_the_teacher_gives_them():
    # Equation 7 of the paper, row by row.
    for row in range(len(TARGET)):
        logits = STUDENT[row : row + 1], TEACHER[row : row + 1]
        sure = TEACHER[row].softmax(0)[TARGET[row]].item()
        decoupled = dkd_loss(*logits, TARGET[row : row + 1], alpha=1, beta=1 - sure, temperature=1)
        torch.testing.assert_close(decoupled, kd_loss(*logits, temperature=1))


def test_a_student_that_answers_as_its_teacher_has_no_loss_and_a_sure_teacher_a_finite_one():
    for loss in (
        KnowledgeDistillation(weight=0.9, temperature=4, warmup=0),
        DecoupledDistillation(alpha=1, beta=8, temperature=4, warmup=0),
    ):
        assert loss(TEACHER, TEACHER, TARGET).item() == pytest.approx(0, abs=1e-12)
        student = torch.zeros(2, 3, requires_grad=True)
        value = loss(student, torch.tensor([[2000.0, 0, -2000], [0, 2000, 0]]), torch.tensor([0, 2]))
        value.backward()
        assert value.isfinite() and student.grad.isfinite().all() and student.grad.abs().sum() > 0


def test_gradients_keep_their_size_at_a_high_temperature():
    student = STUDENT.clone().requires_grad_()
    sizes = []
    for temperature in (20.0, 200.0):
        (gradient,) = torch.autograd.grad(kd_loss(student, TEACHER, temperature=temperature), student)
        sizes.append(gradient.norm().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def test_the_weight_rises_over_its_share_of_the_steps():
    loss = DecoupledDistillation(alpha=1, beta=8, temperature=4, warmup=0.1)
    assert [loss.factor(step, 40) for step in (0, 1, 2, 3, 39)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert KnowledgeDistillation(weight=1, temperature=4, warmup=0).factor(0, 40) == 1


@pytest.mark.parametrize(
    ("key", "arguments"),
    [("temperature", {"temperature": 0.0}), ("warmup", {"warmup": 1.0}), ("alpha", {"alpha": -1.0}),
     ("beta", {"beta": -1.0}), ("beta", {"alpha": 0.0, "beta": 0.0})],
)  # fmt: skip
def test_a_setting_that_means_nothing_is_refused(key, arguments):
    with pytest.raises(SettingError) as refused:
        DecoupledDistillation(**{"alpha": 1.0, "beta": 8.0, "temperature": 4.0, "warmup": 0.0, **arguments})
    assert refused.value.key == key


def test_with_a_teacher_of_the_labels_alone_it_is_cross_entropy():
    sure = torch.full_like(STUDENT, -1e4).scatter_(1, TARGET.unsqueeze(1), 0.0)
    torch.testing.assert_close(kd_loss(STUDENT, sure, temperature=1), cross_entropy(STUDENT, TARGET))
