"""What normalized windows may suffer, in five strengths: the augmentation's operations at fixed strength."""

from hallmark.data.perturb import Perturbation
from hallmark.systems.touch import augment

PERTURBATIONS = {
    perturbation.name: perturbation
    for perturbation in (
        Perturbation("crop", augment.cropped, (0.9, 0.75, 0.6, 0.45, 0.3)),
        Perturbation("scale", augment.scaled, (1.1, 1.25, 1.5, 2.0, 3.0)),
        Perturbation("noise", augment.noisy, (0.05, 0.1, 0.2, 0.4, 0.8)),
        Perturbation("channel_drop", augment.with_lost_channels, (0.1, 0.2, 0.3, 0.45, 0.6)),
    )
}
