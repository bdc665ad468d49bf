"""Heads on embeddings small enough to compute by hand."""

import pytest
import torch
from torch.nn.functional import cross_entropy, layer_norm

from hallmark.learning.heads import ConcatHead, GatedFusionHead, InteractionHead, LateFusionHead

DIMS = {"text": 4, "image": 4}


def embeddings(batch: int = 5, **dims: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(batch, width, generator=generator) for name, width in (dims or DIMS).items()}


def normed(embedding: torch.Tensor) -> torch.Tensor:
    return layer_norm(embedding, embedding.shape[1:])


@pytest.mark.parametrize("head", [ConcatHead, InteractionHead, LateFusionHead])
def test_the_order_of_the_modalities_does_not_matter(head):
    torch.manual_seed(0)
    first_head = head({"text": 4, "image": 4}, 3, dropout=0.0)
    second_head = head({"image": 4, "text": 4}, 3, dropout=0.0)
    second_head.load_state_dict(first_head.state_dict())
    inputs = embeddings()
    assert torch.equal(first_head(inputs), second_head(dict(reversed(inputs.items()))))


def test_concat_is_a_linear_layer_on_the_normed_embeddings():
    head = ConcatHead(DIMS, 3, dropout=0.5).eval()
    inputs = embeddings()
    joint = torch.cat([normed(inputs["image"]), normed(inputs["text"])], dim=1)
    torch.testing.assert_close(head(inputs), joint @ head.classifier.weight.T + head.classifier.bias)


def test_interaction_sees_product_and_difference():
    head = InteractionHead(DIMS, 3, dropout=0.0)
    inputs = embeddings()
    i, t = normed(inputs["image"]), normed(inputs["text"])
    joint = torch.cat([i, t, i * t, (i - t).abs()], dim=1)
    torch.testing.assert_close(head(inputs), joint @ head.classifier.weight.T + head.classifier.bias)


@pytest.mark.parametrize("dims", [{"image": 4, "text": 6}, {"text": 4}])
def test_interaction_needs_two_embeddings_of_one_width(dims):
    with pytest.raises(ValueError, match="two embeddings of one width; use GatedFusionHead"):
        InteractionHead(dims, 3, dropout=0.0)


def test_late_fusion_averages_probabilities():
    head = LateFusionHead(DIMS, 2, dropout=0.0)
    with torch.no_grad():
        for name, bias in (("image", [0.0, 0.0]), ("text", [0.0, torch.log(torch.tensor(3.0)).item()])):
            head.classifiers[name].weight.zero_()
            head.classifiers[name].bias.copy_(torch.tensor(bias))
    # softmax [1/2, 1/2] and [1/4, 3/4] average to [3/8, 5/8]
    torch.testing.assert_close(head(embeddings()).softmax(dim=1), torch.tensor([[0.375, 0.625]]).expand(5, 2))


def test_late_fusion_gives_each_modality_its_own_loss():
    head = LateFusionHead(DIMS, 3, dropout=0.0)
    inputs, target = embeddings(), torch.tensor([0, 1, 2, 1, 0])
    alone = [cross_entropy(head.classifiers[name](normed(inputs[name])), target) for name in DIMS]
    torch.testing.assert_close(head.loss(inputs, target, cross_entropy), sum(alone))


@pytest.fixture
def gated() -> GatedFusionHead:
    torch.manual_seed(0)
    return GatedFusionHead({"image": 4, "text": 6}, 3, dropout=0.0, width=8, modality_dropout=0.4)


def mixture(head: GatedFusionHead, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """What the classifier of `head` is given."""
    seen = []
    hook = head.classifier.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    head(inputs)
    hook.remove()
    return seen[0]


def test_gates_sum_to_one_over_the_modalities(gated):
    gated.eval()
    with torch.no_grad():
        for project in gated.project.values():
            project.weight.zero_()
            project.bias.fill_(0.5)
    # With the same value from both modalities the mixture is that value whatever the gates are.
    inputs = embeddings(image=4, text=6)
    torch.testing.assert_close(mixture(gated, inputs), torch.full((5, 8), 0.5).tanh())


def test_the_mixture_is_the_gated_sum(gated):
    gated.eval()
    inputs = embeddings(image=4, text=6)
    i, t = normed(inputs["image"]), normed(inputs["text"])
    hidden = [gated.project["image"](i).tanh(), gated.project["text"](t).tanh()]
    scores = gated.gate(torch.cat([i, t], dim=1))
    first = torch.sigmoid(scores[:, :8] - scores[:, 8:])
    torch.testing.assert_close(mixture(gated, inputs), first * hidden[0] + (1 - first) * hidden[1])


def dropped(head: GatedFusionHead, batch: int, present: dict[str, torch.Tensor] | None = None) -> torch.Tensor:
    """Whether the gate was given nothing of a modality: bool [batch, 2] for image, text."""
    seen = []
    head.gate.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    head(embeddings(batch, image=4, text=6), present)
    return torch.stack([(seen[0][:, :4] == 0).all(dim=1), (seen[0][:, 4:] == 0).all(dim=1)], dim=1)


def test_modality_dropout_takes_one_modality_at_most_and_at_its_rate(gated):
    missing = dropped(gated.train(), 4000)
    assert not missing.all(dim=1).any()
    rates = missing.float().mean(dim=0)
    assert ((rates - 0.2).abs() < 0.03).all()  # 0.4 of the samples, shared by two modalities


def test_modality_dropout_is_off_in_evaluation(gated):
    assert not dropped(gated.eval(), 500).any()


def test_a_missing_modality_is_seen_by_nothing_and_no_other_is_dropped(gated):
    present = {"text": torch.arange(400) % 2 == 0}
    missing = dropped(gated.train(), 400, present)
    assert missing[1::2, 1].all() and not missing[1::2, 0].any()
    assert 0 < missing[::2].any(dim=1).float().mean() < 1 and not missing.all(dim=1).any()
    gated.eval()
    inputs = embeddings(image=4, text=6)
    absent = {"text": torch.zeros(5, dtype=torch.bool)}
    other = {"image": inputs["image"], "text": 7 * inputs["text"].flip(0)}
    assert torch.equal(gated(inputs, absent), gated(other, absent))
    assert torch.equal(gated(inputs, {"text": torch.ones(5, dtype=torch.bool)}), gated(inputs))
    assert not torch.equal(gated(inputs, absent), gated(inputs))


def test_the_only_modality_is_never_dropped():
    head = GatedFusionHead({"text": 4}, 3, dropout=0.0, width=8, modality_dropout=0.9).train()
    inputs = {"text": embeddings()["text"]}
    assert torch.equal(head(inputs), head.eval()(inputs))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dropout": 1.0}, "dropout=1.0: expected in"),
        ({"dropout": -0.1}, "dropout=-0.1: expected in"),
        ({"modality_dropout": 1.0}, "modality_dropout=1.0: expected in"),
        ({"width": 0}, "width=0: expected at least 1"),
    ],
)
def test_what_a_head_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        GatedFusionHead(DIMS, 3, **{"dropout": 0.0, "width": 8, "modality_dropout": 0.0, **arguments})
