"""Adam for a balancer's own few numbers."""

from torch import Tensor, nn, zeros_like
from torch.optim.adam import adam


class AdamVector(nn.Module):
    """A vector [T] moved by Adam (Kingma & Ba 2015). All of it is in buffers, which move and are saved with the module
    and which no optimizer of the model's parameters takes up.

    Args:
        values: where it starts.
        lr: learning rate.
        weight_decay: L2 penalty.
    """

    values: Tensor
    mean: Tensor
    square: Tensor
    steps: Tensor

    def __init__(self, values: Tensor, *, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__()
        self.lr, self.weight_decay = lr, weight_decay
        self.register_buffer("values", values)
        self.register_buffer("mean", zeros_like(values))
        self.register_buffer("square", zeros_like(values))
        self.register_buffer("steps", values.new_zeros(()))

    def step(self, gradient: Tensor) -> None:
        """Descend along `gradient` [T]."""
        adam(
            [self.values], [gradient], [self.mean], [self.square], [], [self.steps], foreach=False, amsgrad=False,
            beta1=0.9, beta2=0.999, lr=self.lr, weight_decay=self.weight_decay, eps=1e-8, maximize=False,
        )  # fmt: skip
