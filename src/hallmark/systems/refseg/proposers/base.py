"""What a proposer is."""

from abc import ABC, abstractmethod
from typing import Any

from numpy.typing import NDArray

from hallmark.data.masks import Proposals


class Proposer(ABC):
    """Gives the masks of an image that an expression may mean. It never sees the expression.

    Attributes:
        trained_on: the generated data that its weights were trained on; None for all others.
    """

    trained_on: str | None = None

    @abstractmethod
    def propose(self, image: NDArray) -> Proposals:
        """Masks of `image`, uint8 [H, W, 3]."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """All that the masks depend on beside the image, weights included, in plain containers."""
