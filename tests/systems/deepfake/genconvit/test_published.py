"""The published networks against the published sizes, and against the same graph in plain functions."""

import timm
import torch
from pytest import mark, raises
from torch import Tensor
from torch.nn import functional as F

from hallmark.checks import SettingError
from hallmark.systems.deepfake.genconvit.published import PublishedNetwork, frame_noise

from .sizes import CONVNEXT, published

MEAN, STD = (torch.tensor(x).view(3, 1, 1) for x in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


@mark.parametrize(("variant", "parameters", "tensors"), [("ed", 59_214_875, 554), ("vae", 695_210_767, 580)])
def test_the_parameters_are_as_many_as_the_paper_counts(variant, parameters, tensors):
    with torch.device("meta"):
        network = PublishedNetwork(
            variant, image_size=224, width=16, weights="random", convnext={"name": "convnext_tiny"},
            swin={"name": "swin_tiny_patch4_window7_224"},
        )  # fmt: skip
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert len(network.state_dict()) == tensors


class Graph:
    """The published forward passes in plain functions of the tensors of a state dict."""

    def __init__(self, state: dict[str, Tensor], backbone: str) -> None:
        self.state = state
        self.convnext = timm.create_model(CONVNEXT["name"], **CONVNEXT["options"], num_classes=12).eval()
        prefix = f"{backbone}."
        names = self.convnext.state_dict()
        self.convnext.load_state_dict({name: state[prefix + name] for name in names})

    def conv(self, x: Tensor, name: str, **options: int) -> Tensor:
        return F.conv2d(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"], padding=1, **options)

    def up(self, x: Tensor, name: str) -> Tensor:
        return F.conv_transpose2d(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"], stride=2)

    def linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def ed(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = image
        for layer in (0, 3, 6, 9, 12):
            x = F.max_pool2d(self.conv(x, f"encoder.features.{layer}").relu(), 2)
        for layer in (0, 2, 4, 6, 8):
            x = self.up(x, f"decoder.features.{layer}").relu()
        both = F.gelu(torch.cat([self.convnext(x), self.convnext(image)], dim=1))
        return self.linear(F.gelu(self.linear(both, "fc")), "fc2"), x

    def vae(self, image: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        x = image
        for layer in (0, 3, 6, 9):
            norm = {name: self.state[f"encoder.features.{layer + 1}.{name}"] for name in
                    ("running_mean", "running_var", "weight", "bias")}  # fmt: skip
            x = F.leaky_relu(F.batch_norm(self.conv(x, f"encoder.features.{layer}", stride=2), **norm), 0.01)
        mu = self.linear(x.flatten(1), "encoder.mu")
        x = (mu + (mu / 2).exp() * noise).reshape(len(image), 32, 2, 2)
        for layer in (0, 2, 4, 6):
            x = F.leaky_relu(self.up(x, f"decoder.features.{layer}"), 0.01)
        both = torch.cat([self.convnext(image), self.convnext(x)], dim=1).relu()
        enlarged = F.interpolate(x, (64, 64), mode="bilinear", align_corners=False)
        return self.linear(self.linear(both, "fc").relu(), "fc2"), enlarged


@mark.parametrize("variant", ["ed", "vae"])
@torch.no_grad()
def test_a_forward_pass_is_that_of_the_described_graph(variant, pixels):
    torch.manual_seed(0)
    network = published(variant).eval()
    for parameter in network.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))  # layers that start at zero show their place as well
    redrawn = network.redraw(pixels)
    logits = network.classifier(network.embed(redrawn))
    image = (pixels / 255 - MEAN) / STD
    if variant == "ed":
        expected = Graph(network.state_dict(), "backbone").ed(image)
    else:
        graph = Graph(network.state_dict(), "convnext_backbone")
        expected = graph.vae(image, frame_noise(pixels, redrawn.mean.shape[1]))
    torch.testing.assert_close((logits, redrawn.enlarged()), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_frame_has_one_score_in_every_batch(pixels):
    network = published("vae").eval()
    together = network(pixels)
    for batch in ([0], [2, 1], [1, 1, 0, 2, 0]):
        torch.testing.assert_close(network(pixels[batch]), together[batch], rtol=1e-4, atol=1e-6)
    noise = frame_noise(pixels, 20_000)
    assert torch.equal(frame_noise(pixels[[2, 0]], 20_000), noise[[2, 0]])
    torch.testing.assert_close(noise.mean(dim=1), torch.zeros(3), rtol=0, atol=0.03)
    torch.testing.assert_close(noise.cov(), torch.eye(3), rtol=0, atol=0.05)
    assert torch.equal(frame_noise(network.unnormalized(network.normalized(pixels)), 20_000), noise)
    changed = pixels.clone()
    changed[0, 0, 0, 0] ^= 1
    assert not torch.equal(frame_noise(changed, 8)[0], frame_noise(pixels, 8)[0])


@mark.parametrize(
    ("key", "changes"),
    [("image_size", {"image_size": 100}), ("width", {"width": 0}), ("variant", {"variant": "gan"}),
     ("convnext.name", {"convnext": {"name": "no_such_model"}}),
     ("swin.options", {"swin": {"name": "swin_tiny_patch4_window7_224", "options": {"checkpoint_path": "x.pth"}}}),
     ("weights", {"weights": "Deressa/GenConViT"})],
)  # fmt: skip
def test_what_is_refused(key, changes):
    with raises(SettingError) as refused:
        published(changes.pop("variant", "ed"), **changes)
    assert refused.value.key == key
