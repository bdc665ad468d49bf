"""Losses and metrics of several tasks, against scikit-learn and torch."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss
from torch.nn.functional import cross_entropy

from hallmark.learning.tasks import MacroF1, TaskLoss, TaskMetrics
from hallmark.statistics.metrics.classification import classification_metrics


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_weighted_mean_of_the_labelled_rows(smoothing):
    torch.manual_seed(0)
    logits, target = torch.randn(6, 3), torch.tensor([0, 2, -1, 1, -1, 2])
    loss = TaskLoss(3, smoothing)
    loss.class_weights = torch.tensor([0.5, 1.0, 2.0])
    labeled = target >= 0
    expected = cross_entropy(logits[labeled], target[labeled], loss.class_weights, label_smoothing=smoothing)
    torch.testing.assert_close(loss(logits, target), expected)


def test_a_batch_without_labels_has_a_loss_of_exactly_0_with_a_gradient():
    logits = torch.randn(4, 3, requires_grad=True)
    loss = TaskLoss(3, 0.1)(logits, torch.full((4,), -1))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(4, 3))


def test_the_metrics_are_those_of_scikit_learn_and_their_means():
    rng = np.random.default_rng(0)
    metrics = TaskMetrics({"action": 4, "state": 2})
    seen: dict[str, tuple[list, list]] = {"action": ([], []), "state": ([], [])}
    for size in (7, 5, 1):
        for task, number in (("action", 4), ("state", 2)):
            logits, target = torch.randn(size, number), torch.from_numpy(rng.integers(-1, number, size))
            metrics.count(task, logits, target)
            seen[task][0].append(logits), seen[task][1].append(target)
    expected: dict[str, list[float]] = {"loss": [], "accuracy": [], "macro_f1": []}
    for task, (logits, target) in seen.items():
        target, probabilities = torch.cat(target).numpy(), torch.cat(logits).double().softmax(dim=1).numpy()
        labeled = target >= 0
        target, probabilities = target[labeled], probabilities[labeled]
        predicted = probabilities.argmax(axis=1)
        expected["loss"].append(log_loss(target, probabilities, labels=list(range(probabilities.shape[1]))))
        expected["accuracy"].append(accuracy_score(target, predicted))
        expected["macro_f1"].append(f1_score(target, predicted, average="macro"))
        for name, values in expected.items():
            assert metrics.metric(f"val/{task}/{name}").compute().item() == pytest.approx(values[-1], rel=1e-5)
    for name, values in expected.items():
        assert metrics.metric(f"val/{name}").compute().item() == pytest.approx(np.mean(values), rel=1e-5)


def test_macro_f1_is_that_of_the_final_metrics_where_a_class_was_only_predicted():
    target, predicted = torch.tensor([0, 0, 1, 1, -1]), torch.tensor([0, 3, 1, 0, 4])
    metric = MacroF1(num_classes=5, ignore_index=-1)
    metric.update(torch.eye(5)[predicted], target)
    final = classification_metrics(target[:4].numpy(), torch.eye(5)[predicted[:4]].numpy())
    assert metric.compute().item() == pytest.approx(final["macro_f1"]) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_the_means_of_one_task_are_its_own():
    metrics = TaskMetrics({"state": 2})
    metrics.count("state", torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), torch.tensor([0, 1, 1]))
    assert metrics.metric("val/accuracy").compute() == metrics.metric("val/state/accuracy").compute()
    assert metrics.metric("val/accuracy").compute().item() == pytest.approx(2 / 3)
