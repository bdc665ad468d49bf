"""The described network: what each option takes away, sizes, gradients."""

import torch
from pytest import mark, raises

from hallmark.checks import SettingError

from .sizes import CONVNEXT, SWIN, described


def batch(size: int, n: int = 2) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(size))


@mark.parametrize("variant", ["ed", "vae"])
@mark.parametrize("size", [64, 96, 256])
@torch.no_grad()
def test_any_size_that_32_divides_is_drawn_again_and_embedded(variant, size):
    network = described(variant, image_size=size).eval()
    redrawn = network.redraw(batch(size))
    assert redrawn.reconstruction.shape == redrawn.image.shape == (2, 3, size, size)
    assert redrawn.reconstruction.min() >= 0 and redrawn.reconstruction.max() <= 1
    torch.testing.assert_close(redrawn.image, batch(size) / 255)
    assert network(batch(size)).shape == (2, network.embedding_dim)
    assert (redrawn.log_variance is None) == (variant == "ed")


@torch.no_grad()
def test_evaluation_is_deterministic_and_training_draws():
    network = described("vae").eval()
    frames = batch(64)
    torch.manual_seed(0)
    first = network(frames)
    torch.manual_seed(1)
    assert torch.equal(network(frames), first)
    network.drawing.training = True
    assert not torch.equal(network(frames), first)


def test_every_parameter_of_the_latent_numbers_gets_a_gradient():
    network = described("vae").train()
    redrawn = network.redraw(batch(64))
    (redrawn.error() + redrawn.divergence()).backward()
    for part in (network.drawing.mean, network.drawing.log_variance):
        assert part.weight.grad.abs().max() > 0 and part.bias.grad.abs().max() > 0
    redrawn = network.redraw(batch(64))
    grad = torch.autograd.grad(redrawn.error(), network.drawing.log_variance.weight)[0]
    assert grad.abs().max() > 0  # the error alone reaches the variance as well


def test_latent_layers_stay_below_a_million_parameters_at_full_size():
    with torch.device("meta"):
        drawing = described("vae", width=16, latent=128).drawing
    assert sum(p.numel() for part in (drawing.mean, drawing.log_variance) for p in part.parameters()) < 1_000_000


@mark.parametrize(("alone", "without"), [("convnext", "swin"), ("swin", "convnext")])
@torch.no_grad()
def test_a_network_stands_alone(alone, without):
    joined, network = described().eval(), described(**{without: None}).eval()
    assert network(batch(64)).shape == (2, 12)
    (backbone,), both = network.networks, dict(zip(["convnext", "swin"], joined.networks, strict=True))
    assert backbone.state_dict().keys() == both[alone].state_dict().keys() != both[without].state_dict().keys()


@torch.no_grad()
def test_without_reconstruction_the_frame_is_all_that_is_seen():
    network = described(reconstruction=False).eval()
    assert network.redraw(batch(64)).reconstruction is None and not network.autoencoder
    assert network(batch(64)).shape == (2, 12)


@torch.no_grad()
def test_embeddings_depend_on_frame_and_on_reconstruction():
    network = described("ed").eval()
    redrawn = network.redraw(batch(64))
    embedded = network.embed(redrawn)
    for name in ("image", "reconstruction"):
        changed = type(redrawn)(**{**vars(redrawn), name: 1 - getattr(redrawn, name)})
        assert not torch.allclose(network.embed(changed), embedded)


@torch.no_grad()
def test_each_network_sees_frame_and_reconstruction_apart():
    """Maps are joined by frame: a frame's embedding is the same whatever else is in its batch."""
    network = described("ed").eval()
    torch.testing.assert_close(network(batch(64))[1:], network(batch(64)[1:]), rtol=1e-4, atol=1e-6)


def test_the_divergence_is_that_of_normal_distributions():
    network = described("vae").eval()
    with torch.no_grad():
        redrawn = network.redraw(batch(64))
    scale = torch.distributions.Normal(redrawn.mean, (redrawn.log_variance / 2).exp())
    expected = torch.distributions.kl_divergence(scale, torch.distributions.Normal(0, 1)).sum() / 2 / (3 * 64 * 64)
    torch.testing.assert_close(redrawn.divergence(), expected)


@mark.parametrize(
    ("key", "changes"),
    [("image_size", {"image_size": 40}), ("swin", {"convnext": None, "swin": None}), ("weights", {"weights": "x.pth"}),
     ("joined", {"joined": 0}), ("dropout", {"dropout": 1.0}),
     ("convnext.options", {"convnext": {**CONVNEXT, "options": {"pretrained_cfg": {}}}}),
     ("swin.name", {"swin": {**SWIN, "name": "swim"}})],
)  # fmt: skip
def test_what_is_refused(key, changes):
    with raises(SettingError) as refused:
        described(**changes)
    assert refused.value.key == key
