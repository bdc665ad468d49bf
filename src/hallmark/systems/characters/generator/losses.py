"""The losses of both networks, and what the generator is guided by beside the discriminator."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchvision.models.vgg import cfgs, make_layers

from hallmark.checks import SettingError, require
from hallmark.learning.adversarial import ADVERSARIAL_LOSSES
from hallmark.learning.encoders.weights import MissingWeightsError, load_exactly, local_path, read_state_dict
from hallmark.systems.characters.module import CharacterClassifier

_MATCHES = ("statistics", "picture")
_NETWORKS = ("classifier", "vgg16")

_TAPS = (3, 8, 15, 22)  # rectifiers of VGG16 after which Johnson et al. 2016 compare
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet

_EPSILON = 1e-8  # so that the gradient of a root is finite where all are alike

_log = logging.getLogger(__name__)


class GuidedLoss:
    """Loss of the discriminator, and of the generator the sum of three parts, each with a weight.

    Args:
        kind: of the adversarial part, `hinge` or `non_saturating`.
        adversarial: its weight.
        classification: weight of the cross-entropy of what the frozen classifier reads.
        perceptual: weight of `perceptual_loss`; match: its argument.
        network: that perceptual loss looks with, `classifier` or `vgg16`. Where `vgg16_weights`, a file, is None, the
            classifier takes the place of VGG16, and the run says so.
    """

    def __init__(
        self, *, kind: str, adversarial: float, classification: float, perceptual: float, match: str, network: str,
        vgg16_weights: str | None,
    ) -> None:  # fmt: skip
        require(kind in ADVERSARIAL_LOSSES, "kind", kind, f"one of {', '.join(ADVERSARIAL_LOSSES)}")
        require(match in _MATCHES, "match", match, f"one of {', '.join(_MATCHES)}")
        require(network in _NETWORKS, "network", network, f"one of {', '.join(_NETWORKS)}")
        weights = {"adversarial": adversarial, "classification": classification, "perceptual": perceptual}
        for key, weight in weights.items():
            require(weight >= 0, key, weight, "at least 0")
        require(any(weights.values()), "adversarial", adversarial, "above 0, or another weight that is")
        self.weights, self.match = weights, match
        self.discriminator, self._fools = ADVERSARIAL_LOSSES[kind]
        self._vgg16: Vgg16Maps | None = None
        if perceptual and network == "vgg16":
            if vgg16_weights is None:
                _log.warning("no loss.vgg16_weights: perceptual loss compares what the stages of the classifier see")
            else:
                self._vgg16 = Vgg16Maps(vgg16_weights)

    @staticmethod
    def needs_classifier(arguments: Mapping[str, Any]) -> bool:
        """Whether a loss of these arguments asks a classifier."""
        looks_by_itself = arguments["network"] == "vgg16" and arguments["vgg16_weights"] is not None
        return arguments["classification"] > 0 or (arguments["perceptual"] > 0 and not looks_by_itself)

    def generator(
        self, logits: Tensor, drawn: Tensor, real: Tensor, target: Tensor, classifier: CharacterClassifier | None
    ) -> Tensor:
        """The generator's loss, a scalar.

        Args:
            logits: of the discriminator for what is drawn, [B].
            drawn, real: pictures [B, 3, S, S] in [0, 1] of the classes `target` [B].
        """
        loss = self.weights["adversarial"] * self._fools(logits)
        read = None
        if self.weights["perceptual"]:
            if self._vgg16 is not None:
                vgg16 = self._vgg16.to(drawn.device)
                maps, real_maps = vgg16(drawn), vgg16(real)
            else:
                assert classifier is not None
                maps, read = classifier.maps(drawn)
                with torch.no_grad():
                    real_maps, _ = classifier.maps(real)
            loss = loss + self.weights["perceptual"] * perceptual_loss(maps, real_maps, target, match=self.match)
        if self.weights["classification"]:
            assert classifier is not None
            read = classifier.logits(drawn) if read is None else read
            loss = loss + self.weights["classification"] * cross_entropy(read, target)
        return loss


def perceptual_loss(drawn: Sequence[Tensor], real: Sequence[Tensor], target: Tensor, *, match: str) -> Tensor:
    """Mean absolute difference over layers, a scalar, of maps [B, C, H, W] of the same layers.

    Args:
        target: classes [B] of both.
        match: `picture` compares each drawn picture with the real one of its row, another one of the same class, so
            that all of a class are drawn alike (for pairs: Johnson et al. 2016, arXiv:1603.08155); `statistics`
            compares over the batch the mean of each channel (Salimans et al. 2016, arXiv:1606.03498) and the deviation
            from the mean of the class, which leaves the single picture free, but not all of a class alike.
    """
    layers = []
    same = (target[:, None] == target).to(drawn[0].dtype)
    averaging = same / same.sum(dim=1, keepdim=True)  # from rows to the means of their classes
    for of_drawn, of_real in zip(drawn, real, strict=True):
        if match == "picture":
            layers.append((of_drawn - of_real).abs().mean())
        else:
            means = of_drawn.mean(dim=(0, 2, 3)) - of_real.mean(dim=(0, 2, 3))
            deviations = _deviation(of_drawn, averaging) - _deviation(of_real, averaging)
            layers.append((means.abs() + deviations.abs()).mean())
    return torch.stack(layers).mean()


def _deviation(maps: Tensor, averaging: Tensor) -> Tensor:
    """Standard deviation of each channel from the mean of the row's class at the same place, [C]."""
    residual = maps - (averaging @ maps.flatten(1)).view_as(maps)
    return (residual.square().mean(dim=(0, 2, 3)) + _EPSILON).sqrt()


class Vgg16Maps(nn.Module):
    """Maps of pictures [B, 3, H, W] in [0, 1] after four rectifiers of VGG16 (Simonyan & Zisserman 2015), frozen.

    Args:
        weights: file in the layout of torchvision or timm (`vgg16.tv_in1k`), whose first ten convolutions are read.

    Raises:
        SettingError: no such file, a damaged one, or weights of something else.
    """

    def __init__(self, weights: str) -> None:
        super().__init__()
        layers = make_layers(cfgs["D"])[: _TAPS[-1] + 1]
        for layer in layers:
            if isinstance(layer, nn.ReLU):
                layer.inplace = False  # it would overwrite what the loss keeps
        self.layers = layers
        expected = "a file of VGG16 as torchvision (vgg16-397923af.pth) or timm (vgg16.tv_in1k) publishes it, or null, "
        expected += "by which the classifier takes its place"
        try:
            path = local_path(weights)
            require(path is not None, "vgg16_weights", weights, expected)
            assert path is not None
            state = {name.removeprefix("features."): tensor for name, tensor in read_state_dict(path).items()}
            known = {name: state[name] for name in layers.state_dict() if name in state}
            load_exactly(layers.load_state_dict, known, path)
        except SettingError:
            raise
        except (OSError, ValueError) as error:
            cause = error.finding.rstrip(".") if isinstance(error, MissingWeightsError) else str(error)
            raise SettingError("vgg16_weights", weights, f"{expected}; {cause}") from error
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, image: Tensor) -> list[Tensor]:
        maps, values = [], (image - self.mean) / self.std
        for number, layer in enumerate(self.layers):
            values = layer(values)
            if number in _TAPS:
                maps.append(values)
        return maps
