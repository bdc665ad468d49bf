import torch

from hallmark.data.arrays import TensorRows
from hallmark.data.sampling import SampleIndex


def test_a_batch_holds_the_rows_asked_for_in_their_order() -> None:
    rows = TensorRows({"x": torch.arange(8).view(4, 2), "y": torch.tensor([5, 6, 7, 8])})
    batch = rows.__getitems__([SampleIndex(3, 0), SampleIndex(1, 0)])
    assert len(rows) == 4
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {
        "index": [3, 1], "x": [[6, 7], [2, 3]], "y": [8, 6],
    }  # fmt: skip


def test_the_transform_changes_only_its_tensor_by_the_seed_of_each_row() -> None:
    source = {"x": torch.zeros(3), "y": torch.zeros(3)}
    rows = TensorRows(source, transform=lambda row, seed: row + seed, transformed="x")
    batch = rows.__getitems__([SampleIndex(2, 7), SampleIndex(0, 9)])
    assert batch["x"].tolist() == [7, 9]
    assert batch["y"].tolist() == source["x"].tolist()[:2] == [0, 0]
