"""Shapes of the networks, and what cannot reach an embedding."""

import pytest
import torch
from torch import Tensor

from hallmark.systems.touch.networks import (
    AttentivePooling,
    Decoder,
    FrameEncoder,
    JointHead,
    SignalEncoder,
    positions,
    summary,
)

SIZES = {
    "width": 16, "kernel": 5, "stride": 4, "blocks": 1, "attention_layers": 1, "attention_heads": 2, "dropout": 0.0,
}  # fmt: skip


def signal_encoder(**changes: object) -> SignalEncoder:
    torch.manual_seed(0)
    return SignalEncoder(3, **(SIZES | changes)).eval()


def windows(rows: int, samples: int) -> Tensor:
    return torch.cat([torch.randn(rows, 3, samples), (torch.rand(rows, 3, samples) > 0.2).float()], dim=1)


@pytest.mark.parametrize("samples", [8, 31, 64])
@pytest.mark.parametrize(("stride", "blocks", "attention_layers"), [(1, 0, 0), (4, 1, 1), (3, 2, 2)])
def test_windows_of_any_length_have_a_sequence_and_an_embedding(samples, stride, blocks, attention_layers):
    encoder = signal_encoder(stride=stride, blocks=blocks, attention_layers=attention_layers)
    x = windows(5, samples)
    sequence = encoder.sequence(x)
    assert sequence.shape == (5, -(-samples // stride), 16)
    assert encoder(x).shape == (5, encoder.embedding_dim)
    assert Decoder(16, 3, stride)(sequence, samples).shape == (5, 3, samples)


def test_each_patch_of_the_decoder_stands_for_its_own_samples():
    sequence = torch.randn(2, 4, 16)
    changed = sequence.clone()
    changed[:, 2] += 1
    decoder = Decoder(16, 3, 4)
    differs = (decoder(sequence, 15) != decoder(changed, 15)).any(dim=1).any(dim=0)
    assert differs.nonzero().flatten().tolist() == [8, 9, 10, 11]


def test_attention_sees_the_order_of_the_steps():
    encoder = signal_encoder(stride=1, kernel=1, blocks=0)
    x = windows(2, 20)
    deep = slice(2 * encoder.width)  # the rest is statistics, of which the slope turns
    assert not torch.allclose(encoder(x)[:, deep], encoder(x.flip(2))[:, deep], atol=1e-4)
    unordered = signal_encoder(stride=1, kernel=1, blocks=0, attention_layers=0)
    unordered.sequence = lambda x: unordered.stem(x).transpose(1, 2)
    assert torch.allclose(unordered(x)[:, deep], unordered(x.flip(2))[:, deep], atol=1e-5)


def test_the_summary_is_of_what_was_observed():
    values, observed = torch.randn(2, 3, 9), (torch.rand(2, 3, 9) > 0.4).float()
    observed[0, 1], observed[1, 2, :2] = 0, 1
    statistics = summary(torch.cat([values, observed], dim=1)).unflatten(1, (5, 3))
    seen = observed[1, 2] > 0
    observed_values, time = values[1, 2][seen], torch.linspace(-1, 1, 9)[seen]
    steps = [abs(values[1, 2, i + 1] - values[1, 2, i]) for i in range(8) if seen[i] and seen[i + 1]]
    centered = torch.where(seen, values[1, 2] - observed_values.mean(), 0.0)
    expected = [
        observed_values.mean(), (observed_values.var(correction=0) + 1e-5).sqrt(), centered.max() - centered.min(),
        (time * (observed_values - observed_values.mean())).sum() / time.square().sum(), torch.stack(steps).mean(),
    ]  # fmt: skip
    torch.testing.assert_close(statistics[1, :, 2], torch.stack(expected))
    assert statistics[0, [0, 2, 3, 4], 1].tolist() == [0, 0, 0, 0] and statistics[0, 1, 1] < 0.01


def test_the_slope_of_a_line_is_its_rise_over_half_the_window():
    line = torch.linspace(-3, 3, 20).expand(1, 1, 20)
    statistics = summary(torch.cat([line, torch.ones_like(line)], dim=1)).flatten()
    torch.testing.assert_close(statistics[[0, 2, 3, 4]], torch.tensor([0.0, 6.0, 3.0, 6 / 19]), atol=1e-5, rtol=1e-5)


def test_summaries_are_seen_in_units_of_the_training_batches():
    encoder = signal_encoder()
    encoder.standardise.momentum = 1.0
    x = windows(64, 31)
    x[:, :3] *= 1000
    encoder.train()(x)
    statistics = encoder.eval()(x)[:, -15:]
    torch.testing.assert_close(statistics.mean(dim=0), torch.zeros(15), atol=0.1, rtol=0)
    torch.testing.assert_close(statistics.std(dim=0), torch.ones(15), atol=0.15, rtol=0)


def test_positions_are_those_of_the_transformer():
    encoding = positions(torch.zeros(1, 7, 4))
    steps = torch.arange(7.0)
    expected = torch.stack([steps.sin(), (steps / 100).sin(), steps.cos(), (steps / 100).cos()], dim=1)
    torch.testing.assert_close(encoding, expected)


def test_pooling_with_even_attention_is_mean_and_deviation():
    pool = AttentivePooling(4)
    torch.nn.init.zeros_(pool.score[2].weight)
    x = torch.randn(3, 9, 4)
    expected = torch.cat([x.mean(dim=1), (x.var(dim=1, correction=0) + 1e-5).sqrt()], dim=1)
    torch.testing.assert_close(pool(x), expected)


@pytest.mark.parametrize(("frames", "size"), [(1, (8, 8)), (6, (16, 12))])
def test_frames_of_any_number_and_size_have_an_embedding(frames, size):
    encoder = FrameEncoder(width=4, layers=3, dropout=0.0)
    x = torch.rand(2, frames, *size)
    embeddings = encoder(x)
    assert embeddings.shape == (2, encoder.embedding_dim)
    torch.testing.assert_close(encoder(x[:1]), embeddings[:1])


def test_the_time_of_a_touch_counts():
    torch.manual_seed(0)
    encoder = FrameEncoder(width=4, layers=2, dropout=0.0)
    steady, brief = torch.rand(1, 1, 8, 8).repeat(1, 6, 1, 1), torch.zeros(1, 6, 8, 8)
    brief[:, 2] = steady[:, 2]
    assert not torch.allclose(encoder(steady), encoder(brief), atol=1e-3)


@pytest.fixture
def head() -> JointHead:
    torch.manual_seed(0)
    dims, classes = {"signals": 4, "frames": 6}, {"action": 3, "state": 2}
    return JointHead(dims, classes, width=8, dropout=0.0, decoder=None)


def test_an_absent_modality_has_a_learned_embedding_in_its_place(head):
    embeddings = {"signals": torch.randn(2, 4), "frames": torch.randn(2, 6)}
    present = {"signals": torch.ones(2), "frames": torch.tensor([1.0, 0.0])}
    outputs = head(embeddings, present)
    assert {task: logits.shape for task, logits in outputs.items()} == {"action": (2, 3), "state": (2, 2)}
    other = head({**embeddings, "frames": torch.randn(2, 6)}, present)
    for task, logits in outputs.items():
        assert not torch.equal(logits[0], other[task][0])
        assert torch.equal(logits[1], other[task][1])
    with torch.no_grad():
        head.absent["frames"] += torch.randn(6)
    learned = head(embeddings, present)
    assert torch.equal(outputs["action"][0], learned["action"][0])
    assert not torch.equal(outputs["action"][1], learned["action"][1])


@pytest.mark.parametrize(
    ("name", "value"),
    [("kernel", 4), ("stride", 0), ("blocks", -1), ("attention_layers", -1), ("attention_heads", 0), ("width", 18),
     ("dropout", 1.0)],
)  # fmt: skip
def test_what_the_signal_encoder_refuses(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}: expected"):
        signal_encoder(**{name: value})


@pytest.mark.parametrize(("name", "value"), [("width", 0), ("layers", 0), ("dropout", -0.1)])
def test_what_the_frame_encoder_refuses(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}: expected"):
        FrameEncoder(**({"width": 4, "layers": 2, "dropout": 0.0} | {name: value}))
