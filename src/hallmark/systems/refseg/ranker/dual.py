"""The sample world's own encoder: regions in sight of each other, and texts of a closed vocabulary, in one space."""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from hallmark.checks import SettingError, require
from hallmark.features.store import weights_digest
from hallmark.learning.encoders.weights import load_exactly, local_path, read_state_dict, trained_on
from hallmark.systems.refseg.ranker.encoder import RegionEncoder
from hallmark.systems.refseg.ranker.views import Regions, View

SIDE = 24  # pixels of a region's picture
VOCABULARY = 64  # words at most
_LETTERS = 16  # bytes of a word at most
_PAD, _UNKNOWN, _SPECIAL = 0, 1, 2
_FREQUENCIES = 4
_PLACE, _PAIR = 9 + 8 * _FREQUENCIES, 12


class DualNetwork(nn.Module):
    """Regions and texts to unit vectors of one space.

    Shapes: N regions of B images, R of the image with most of them, M texts of at most L words, W width, D dimensions.

    A region's vector says what its picture shows; if the region is `placed`, also where it lies; if it is `joint`,
    also what pairs of it and every region of its image say, pooled, in two rounds (as in relation networks, Santoro
    et al. 2017, arXiv:1706.01427). Nothing of it depends on a text, so "left of the star" must be a property of a
    region before anyone asks. The same weights serve with and without each of these parts.

    The words are part of the weights, so that a file of them is complete.
    """

    vocabulary: Tensor

    def __init__(self, *, width: int = 96, messages: int = 128, rounds: int = 2, dim: int = 128) -> None:
        super().__init__()
        self.width = width
        self.picture = _picture(width)
        self.place = nn.Sequential(nn.Linear(_PLACE, width), nn.ReLU(), nn.Linear(width, width))
        self.unplaced = nn.Parameter(torch.zeros(width))
        self.mix = _mixer(width)
        self.rounds = nn.ModuleList(_Round(width, messages) for _ in range(rounds))
        self.to_space = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dim))
        self.words = _Words(width, dim)
        self.nothing = nn.Parameter(torch.randn(dim))
        self.log_scale = nn.Parameter(torch.tensor(20.0).log())
        self.register_buffer("vocabulary", torch.zeros(VOCABULARY, _LETTERS, dtype=torch.uint8))

    def encode_regions(self, pixels: Tensor, geometry: Tensor, placed: Tensor) -> Tensor:
        """What each region is by itself, [N, W].

        Args:
            pixels: uint8 [N, 4, 24, 24], the last channel the mask, or 0 throughout where it is not to be seen.
            geometry: of `Regions`; placed: bool [N].
        """
        x = self.picture(pixels.float() / 127.5 - 1)
        x = x + torch.where(placed[:, None], self.place(_place_features(geometry)), self.unplaced)
        return x + self.mix(x)

    def embed_regions(self, encoded: Tensor, geometry: Tensor, image: Tensor, joint: Tensor) -> Tensor:
        """Unit vectors [N, D].

        Args:
            encoded: of `encode_regions`, [N, W].
            geometry, image: of `Regions`.
            joint: bool [N]; all regions of an image that are joint see each other.
        """
        if joint.any():
            encoded = encoded.index_put((joint,), self._in_sight(encoded[joint], geometry[joint], image[joint]))
        return normalize(self.to_space(encoded), dim=-1)

    def _in_sight(self, x: Tensor, geometry: Tensor, image: Tensor) -> Tensor:
        row, column, present = _slots(image)
        x_BRW, geometry_BR5 = (
            values.new_zeros(*present.shape, values.shape[-1]).index_put((row, column), values)
            for values in (x, geometry)
        )
        pairs_BRRF, both = _pair_features(geometry_BR5), (present[:, None] & present[:, :, None])[..., None]
        for layer in self.rounds:
            x_BRW = layer(x_BRW, pairs_BRRF, both)
        return x_BRW[row, column]

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors [M, D]."""
        return self.embed_tokens(self.tokens(texts))

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Unit vectors [M, D] of numbered words [M, L]."""
        return normalize(self.words(tokens), dim=-1)

    def embed_nothing(self) -> Tensor:
        """The unit vector [D] of "no such object"."""
        return normalize(self.nothing, dim=-1)

    @property
    def scale(self) -> Tensor:
        """Of the cosines, []."""
        return self.log_scale.exp()

    def learn_words(self, texts: Sequence[str]) -> None:
        """Take the words of `texts` for the vocabulary; every other word will be unknown.

        Raises:
            ValueError: more or longer words than there is room for.
        """
        words = sorted({word for text in texts for word in split_words(text)})
        encoded = [word.encode() for word in words]
        if len(words) > VOCABULARY or max(map(len, encoded), default=0) > _LETTERS:
            raise ValueError(f"{len(words)} words, the longest of {max(map(len, words))} letters: "
                             f"there is room for {VOCABULARY} of {_LETTERS}")  # fmt: skip
        rows = [list(word.ljust(_LETTERS, b"\0")) for word in encoded]
        self.vocabulary.zero_()
        self.vocabulary[: len(rows)] = torch.tensor(rows, dtype=torch.uint8)

    @property
    def known_words(self) -> list[str]:
        """The vocabulary in its order."""
        rows = (bytes(row).rstrip(b"\0").decode() for row in self.vocabulary.tolist())
        return [word for word in rows if word]

    def tokens(self, texts: Sequence[str]) -> Tensor:
        """Numbered words int64 [M, L]: 0 fills up, 1 is an unknown word and what stands for a text without words."""
        numbers = {word: number for number, word in enumerate(self.known_words, _SPECIAL)}
        rows = [[numbers.get(word, _UNKNOWN) for word in split_words(text)] or [_UNKNOWN] for text in texts]
        length = max(map(len, rows))
        filled = [row + [_PAD] * (length - len(row)) for row in rows]
        return torch.tensor(filled, device=self.vocabulary.device)


def word_dropout(tokens: Tensor, share: float) -> Tensor:
    """`tokens` with a random share of the words unknown."""
    return torch.where((torch.rand(tokens.shape, device=tokens.device) < share) & (tokens != _PAD), _UNKNOWN, tokens)


def split_words(text: str) -> list[str]:
    """Runs of letters and digits, in lower case."""
    return re.findall(r"[^\W_]+", text.lower())


class DualEncoder(RegionEncoder):
    """A trained `DualNetwork` and how much of a region it is shown.

    Args:
        weights: safetensors file, or `package:<package>/<path>` of one inside a package.
        view: of 24 pixels; with `alpha` the network sees the mask.
        geometry: whether it is told where a region lies.
        context: whether a region is embedded in sight of the others of its image; needs `geometry`.

    Raises:
        SettingError: a view of another size, a context without geometry, or no such file.
    """

    def __init__(self, *, weights: str, view: View, geometry: bool, context: bool) -> None:
        super().__init__()
        require(view.size == SIDE, "view.size", view.size, f"{SIDE}, the pictures that the network was trained on")
        require(view.kind != "global_local", "view.kind", view.kind, "a view of one picture")
        require(geometry or not context, "context", context, "false without geometry: regions in sight have places")
        path = local_path(weights)
        if path is None:
            raise SettingError("weights", weights, "a safetensors file")
        self.network = DualNetwork()
        load_exactly(self.network.load_state_dict, read_state_dict(path), path)
        self.view, self.geometry, self.joint = view, geometry, context
        self.trained_on = trained_on(path)
        self.embedding_dim, self.scale = len(self.network.nothing), self.network.scale.item()
        self.none = self.network.embed_nothing().detach()
        self.requires_grad_(False).eval()

    def settings(self) -> dict[str, Any]:
        shown_by = {"view": self.view.settings(), "geometry": self.geometry, "context": self.joint}
        return {"kind": "dual", "weights": weights_digest(self), **shown_by}

    def text_settings(self) -> dict[str, Any]:
        return {"weights": weights_digest(self)}

    def embed_regions(self, regions: Regions) -> Tensor:
        pixels = torch.from_numpy(regions.pixels).to(self.device)
        if not self.view.alpha:
            pixels = torch.cat([pixels, torch.zeros_like(pixels[:, :1])], 1)
        geometry, image = (torch.from_numpy(array).to(self.device) for array in (regions.geometry, regions.image))
        every = torch.ones_like(image, dtype=torch.bool)
        encoded = self.network.encode_regions(pixels, geometry, every & self.geometry)
        return self.network.embed_regions(encoded, geometry, image, every & self.joint)

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        return self.network.embed_texts(texts)


def _picture(width: int) -> nn.Sequential:
    def block(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride=2, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]

    layers = [*block(4, 16, 4), *block(16, 32, 4), *block(32, 64, 3)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * (SIDE // 8) ** 2, width))


def _mixer(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)
    )  # fmt: skip


class _Round(nn.Module):
    """What all pairs of a region with those in sight say, their greatest and their mean, added to the region."""

    def __init__(self, width: int, messages: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.own, self.other = nn.Linear(width, messages), nn.Linear(width, messages, bias=False)
        self.pair = nn.Linear(_PAIR, messages, bias=False)
        self.out = nn.Linear(2 * messages, width)
        self.mix = _mixer(width)

    def forward(self, x_BRW: Tensor, pairs_BRRF: Tensor, both_BRR1: Tensor) -> Tensor:
        h = self.norm(x_BRW)
        # A linear layer on [own, other, pair] as a sum of three, which does not repeat regions for every pair.
        messages = (self.own(h)[:, :, None] + self.other(h)[:, None] + self.pair(pairs_BRRF)).relu() * both_BRR1
        # Messages are at least 0 after relu, and 0 for slots without a region: the maximum needs no mask.
        mean = messages.sum(2) / both_BRR1.sum(2).clamp(min=1)
        x_BRW = x_BRW + self.out(torch.cat([messages.amax(2), mean], -1))
        return x_BRW + self.mix(x_BRW)


class _Words(nn.Module):
    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(_SPECIAL + VOCABULARY, width, padding_idx=_PAD)
        self.read = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.out = nn.Sequential(nn.Linear(4 * width, 2 * width), nn.ReLU(), nn.Linear(2 * width, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        lengths = (tokens != _PAD).sum(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(self.embed(tokens), lengths, batch_first=True, enforce_sorted=False)
        states, last = self.read(packed)
        # States lie in −1 … 1: the padding is never a maximum that a word would not reach.
        padded, _ = nn.utils.rnn.pad_packed_sequence(states, batch_first=True, padding_value=-1.0)
        return self.out(torch.cat([last[0], last[1], padded.amax(1)], 1))


def _slots(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Row and column of each region in a table of images, int64 [N] both, and which slots hold one, bool [B, R]."""
    _, row, counts = image.unique(return_inverse=True, return_counts=True)
    order = row.argsort(stable=True)
    column = torch.empty_like(row)
    # Position in the batch less the position of the image's first region.
    column[order] = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts).repeat_interleave(counts)
    return row, column, torch.arange(int(counts.max()), device=row.device) < counts[:, None]


def _place_features(geometry: Tensor) -> Tensor:
    """Box, center, sides, and area's root, and waves of center and sides: [N, 5] to [N, 41]."""
    low, high = geometry[:, :2], geometry[:, 2:4]
    center_and_sides = torch.cat([(low + high) / 2, high - low], 1)
    # Sines at octaves, so that small differences of place are large ones in some feature (Mildenhall et al. 2020).
    octaves = torch.pi * 2.0 ** torch.arange(_FREQUENCIES, device=geometry.device)
    angles = (center_and_sides[..., None] * octaves).flatten(1)
    plain = torch.cat([geometry[:, :4], center_and_sides, 2 * geometry[:, 4:].sqrt()], 1)
    return torch.cat([2 * plain - 1, angles.sin(), angles.cos()], 1)


def _pair_features(geometry: Tensor) -> Tensor:
    """How the second of two regions lies to the first: [B, R, 5] to [B, R, R, 12]."""
    low, high, area = geometry[..., :2], geometry[..., 2:4], geometry[..., 4].clamp(min=1e-4).log()
    center, box = (low + high) / 2, (high - low).prod(-1)
    # From the first to the second region: [B, R (first), R (second), 2].
    step = center[:, None] - center[:, :, None]
    shared = torch.minimum(high[:, None], high[:, :, None]) - torch.maximum(low[:, None], low[:, :, None])
    overlap = shared.clamp(min=0).prod(-1)
    union = box[:, None] + box[:, :, None] - overlap
    single = [
        2 * torch.linalg.vector_norm(step, dim=-1), (area[:, None] - area[:, :, None]) / 2,
        overlap / union.clamp(min=1e-6), overlap / box[:, None].clamp(min=1e-6),
    ]  # fmt: skip
    # tanh keeps the side where the distance is small: which of two is further left matters at a pixel, too.
    sides = [2 * step, 2 * step.abs(), (20 * step).tanh(), (5 * step).tanh()]
    return torch.cat([*sides, torch.stack(single, -1)], -1)
