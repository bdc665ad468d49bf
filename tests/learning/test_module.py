import pytest
import torch
from torchmetrics import MeanMetric

from hallmark.learning.module import MeanLoss


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_mean_loss_weighs_batches_by_their_rows_as_torchmetrics_does(dtype: torch.dtype) -> None:
    losses, sizes = torch.rand(7, generator=torch.Generator().manual_seed(0)).to(dtype), [16, 16, 3, 16, 1, 16, 5]
    mean, reference = MeanLoss(), MeanMetric()
    for loss, size in zip(losses, sizes, strict=True):
        mean.update(loss, size)
        reference.update(loss.float(), size)
    assert mean.compute().dtype is torch.float32
    assert torch.equal(mean.compute(), reference.compute())
    mean.reset()
    mean.update(torch.tensor(2.0), 4)
    assert mean.compute() == 2
