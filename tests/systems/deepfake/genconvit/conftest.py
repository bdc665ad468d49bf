import pytest
import torch


@pytest.fixture(scope="package")
def pixels() -> torch.Tensor:
    return torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
