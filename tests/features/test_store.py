import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hallmark.checks import SettingError
from hallmark.features.store import FeatureStore, encoder_key, weights_digest

N = 10
KEYS = [f"{number:032d}" for number in range(N)]


class ToyEncoder(nn.Module):
    """A linear map with dropout that notes the size of every batch it sees."""

    def __init__(self, **preprocessing: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5), nn.ReLU())
        self.preprocessing = {"image_size": 32, "token_length": 16, **preprocessing}
        self.frozen = True
        self.batches: list[int] = []

    def forward(self, inputs: Tensor | dict[str, Tensor]) -> Tensor:
        x = inputs if isinstance(inputs, Tensor) else inputs["x"]
        self.batches.append(len(x))
        return self.layers(x.to(self.layers[0].weight.dtype))


@pytest.fixture
def inputs() -> Tensor:
    return torch.randn(N, 4, generator=torch.Generator().manual_seed(1))


def features(folder: Path, encoder: nn.Module, inputs: Tensor, keys: Sequence[str] = KEYS) -> Tensor:
    return FeatureStore(folder, 4, "cpu").features(encoder, keys, lambda positions: inputs[list(positions)])


def direct(encoder: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        return encoder.eval()(inputs).float()


def test_stored_features_equal_a_direct_forward_in_the_order_asked_for(tmp_path: Path, inputs: Tensor) -> None:
    encoder = ToyEncoder().train()
    stored = features(tmp_path, encoder, inputs)
    assert stored.dtype == torch.float32 and stored.shape == (N, 3)
    assert encoder.batches == [4, 4, 2]
    torch.testing.assert_close(stored, direct(encoder, inputs))
    backwards = features(tmp_path, encoder, inputs.flip(0), KEYS[::-1])
    torch.testing.assert_close(backwards, stored.flip(0), rtol=0, atol=0)


def test_the_encoder_is_left_in_evaluation_mode(tmp_path: Path, inputs: Tensor) -> None:
    encoder = ToyEncoder().train()
    before = weights_digest(encoder)
    features(tmp_path, encoder, inputs)
    assert not any(module.training for module in encoder.modules())
    assert weights_digest(encoder) == before


def test_a_second_store_does_not_run_the_encoder_again(tmp_path: Path, inputs: Tensor) -> None:
    first = features(tmp_path, ToyEncoder(), inputs)
    again = ToyEncoder()
    torch.testing.assert_close(features(tmp_path, again, inputs), first, rtol=0, atol=0)
    assert again.batches == []


def test_only_new_content_is_encoded(tmp_path: Path, inputs: Tensor) -> None:
    features(tmp_path, ToyEncoder(), inputs)
    encoder = ToyEncoder()
    changed = inputs.clone()
    changed[6] += 1
    stored = features(tmp_path, encoder, changed, [*KEYS[:6], "f" * 32, *KEYS[7:]])
    assert encoder.batches == [1]
    torch.testing.assert_close(stored, direct(encoder, changed))


class OtherTower(ToyEncoder):
    pass


def rewritten(encoder: ToyEncoder) -> ToyEncoder:
    with torch.no_grad():
        encoder.layers[0].weight[0, 0] += 1e-3
    return encoder


def with_other_statistics(encoder: ToyEncoder) -> ToyEncoder:
    encoder.layers[1].running_mean += 1
    return encoder


def with_other_activation(encoder: ToyEncoder) -> ToyEncoder:
    encoder.layers[3] = nn.GELU()
    return encoder


OTHERS = {
    "weights": lambda: rewritten(ToyEncoder()),
    "buffers": lambda: with_other_statistics(ToyEncoder()),
    "dtype": lambda: ToyEncoder().double(),
    "image size": lambda: ToyEncoder(image_size=48),
    "token length": lambda: ToyEncoder(token_length=24),
    "view": lambda: ToyEncoder(view="flip"),
    "class": OtherTower,
    "activation": lambda: with_other_activation(ToyEncoder()),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_encoder_misses(tmp_path: Path, inputs: Tensor, what: str) -> None:
    features(tmp_path, ToyEncoder(), inputs)
    other = OTHERS[what]()
    stored = features(tmp_path, other, inputs)
    assert sum(other.batches) == N
    torch.testing.assert_close(stored, direct(other, inputs))


def test_weights_written_to_a_frozen_encoder_after_its_first_use_miss(tmp_path: Path, inputs: Tensor) -> None:
    encoder = ToyEncoder()
    features(tmp_path, encoder, inputs)
    features(tmp_path, rewritten(encoder), inputs)
    assert sum(encoder.batches) == 2 * N
    encoder.load_state_dict(ToyEncoder().state_dict())
    features(tmp_path, encoder, inputs)
    assert sum(encoder.batches) == 2 * N


def test_mappings_of_tensors_are_inputs_too(tmp_path: Path, inputs: Tensor) -> None:
    store = FeatureStore(str(tmp_path), 16, "cpu")
    stored = store.features(ToyEncoder(), KEYS, lambda positions: {"x": inputs[list(positions)]})
    torch.testing.assert_close(stored, direct(ToyEncoder(), inputs))


def test_features_can_be_trained_on(tmp_path: Path, inputs: Tensor) -> None:
    head = nn.Linear(3, 1)
    head(features(tmp_path, ToyEncoder(), inputs)).sum().backward()
    assert head.weight.grad is not None


def test_an_encoder_has_one_key_in_all_processes() -> None:
    code = (
        "import torch; from hallmark.features.store import encoder_key; torch.manual_seed(3); "
        "m = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.GELU()); m.preprocessing = {'image_size': 8}; "
        "print(encoder_key(m))"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    torch.manual_seed(3)
    here = nn.Sequential(nn.Linear(2, 2), nn.GELU())
    here.preprocessing = {"image_size": 8}  # type: ignore[assignment]
    assert encoder_key(here) == there


def test_a_batch_holds_at_least_one(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="batch_size=0"):
        FeatureStore(tmp_path, 0, "cpu")


def test_a_plain_attribute_of_a_layer_is_part_of_the_key() -> None:
    keys = []
    for pooling in ("first", "last"):
        encoder = ToyEncoder()
        encoder.layers[0].pool_type = pooling  # as open_clip's text encoder has it: no weight and not printed
        keys.append(encoder_key(encoder))
    assert keys[0] != keys[1] != encoder_key(ToyEncoder())
    trained = ToyEncoder().train()
    assert encoder_key(trained) == encoder_key(ToyEncoder().eval())
