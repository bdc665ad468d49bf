"""A world of coloured rectangles on black, with a proposer and an encoder whose answers are computed by hand."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hallmark.data.masks import Proposals, Rle, encode
from hallmark.systems.refseg.loop import Loop, Outcome
from hallmark.systems.refseg.proposers.base import Proposer
from hallmark.systems.refseg.ranker.encoder import RegionEncoder
from hallmark.systems.refseg.ranker.views import Regions, View
from hallmark.systems.refseg.vlm.base import Request

SIZE = H, W = 20, 30
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0)}
# How a word lies among (red, green, blue, yellow, no such object); rare words lean to a wrong colour, and to no other.
WORDS = {
    **{name: [float(index == axis) for axis in range(5)] for index, name in enumerate([*COLOURS, "nothing"])},
    "crimson": [0.6, 0, 0.8, 0, 0],
    "azure": [0.8, 0, 0.6, 0, 0],
}
SYNONYMS = {"crimson": "red", "azure": "blue"}
SCALE = 10.0

Box = tuple[int, int, int, int]
"""Row, column, height, width."""

RED, GREEN, BLUE, YELLOW = (0, 0, 8, 8), (0, 20, 4, 4), (12, 4, 6, 6), (14, 20, 2, 2)
LAYOUT = {"red": RED, "green": GREEN, "blue": BLUE, "yellow": YELLOW}


@dataclass
class Picture:
    """An image of rectangles and what is said of it: by sentence the box that is meant, None where that is unknown
    and an empty tuple where no object is."""

    name: str
    split: str
    sentences: Mapping[str, Box | tuple[()] | None]
    drawn: Mapping[str, Box] = field(default_factory=lambda: dict(LAYOUT))

    def pixels(self) -> NDArray:
        """uint8 [H, W, 3]; one pixel in a corner tells images of one layout apart."""
        pixels = np.zeros((*SIZE, 3), np.uint8)
        for color, box in self.drawn.items():
            pixels[filled(box)] = COLOURS[color]
        pixels[-1, -1] = [sum(self.name.encode()) % 40, len(self.sentences), len(self.split)]
        return pixels


def filled(box: Box | tuple[()]) -> NDArray:
    """Bool [H, W], nowhere for ()."""
    mask = np.zeros(SIZE, bool)
    if box:
        row, column, height, width = box
        mask[row : row + height, column : column + width] = True
    return mask


def rle_of(box: Box | tuple[()]) -> Rle:
    return encode(filled(box)[None])[0]


def write_world(folder: Path, pictures: Sequence[Picture]) -> str:
    """A folder in the annotated layout, with `splits.csv` beside it; gives its path."""
    folder.mkdir(parents=True)
    lines, splits = [], []
    for picture in pictures:
        file = f"{picture.name}.png"
        Image.fromarray(picture.pixels()).save(folder / file)
        samples = [
            {"id": f"{picture.name}-{number}", "sentences": [sentence], "category": "block", "no_target": box == (),
             "mask": None if box is None else dict(rle_of(box))}
            for number, (sentence, box) in enumerate(picture.sentences.items())
        ]  # fmt: skip
        lines.append(json.dumps({"image_id": picture.name, "file_name": file, "samples": samples}))
        splits += [
            {"id": f"{sample['id']}#0", "split": picture.split} for sample in samples if sample["mask"] is not None
        ]
    (folder / "annotations.jsonl").write_text("\n".join(lines))
    pd.DataFrame(splits, columns=["id", "split"]).to_csv(folder.with_name("splits.csv"), index=False)
    return str(folder)


class ColourProposer(Proposer):
    """A mask for each colour that an image has."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def settings(self) -> dict[str, Any]:
        return {"kind": "colours"}

    def propose(self, image: NDArray) -> Proposals:
        self.seen.append(image.tobytes())
        palette = np.array([(0, 0, 0), *COLOURS.values()])
        nearest = np.linalg.norm(image[:, :, None] - palette, axis=-1).argmin(axis=-1)
        masks = np.stack([nearest == index for index in range(1, len(palette))])
        masks = masks[masks.any(axis=(1, 2))]
        return Proposals.of(encode(masks) if len(masks) else [], np.ones(len(masks)), SIZE)


class ColourEncoder(RegionEncoder):
    """Regions by the colour in their middle, texts by the words of `WORDS` in them; other texts are like none."""

    scale = SCALE
    embedding_dim = 5

    def __init__(self, *, abstains: bool) -> None:
        super().__init__()
        self.view = View(kind="crop", size=4, padding=0.0)
        self.register_buffer("none", torch.tensor(WORDS["nothing"]) if abstains else None)
        self.abstains = abstains

    def settings(self) -> dict[str, Any]:
        return {"kind": "colours", "abstains": self.abstains}

    def text_settings(self) -> dict[str, Any]:
        return {"kind": "words"}

    def embed_regions(self, regions: Regions) -> Tensor:
        middle = regions.pixels[:, :3, 2, 2].astype(int)
        nearest = np.linalg.norm(middle[:, None] - np.array(list(COLOURS.values())), axis=-1).argmin(axis=1)
        return torch.eye(5)[torch.tensor(nearest)]

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        known = [[WORDS[word] for word in text.split() if word in WORDS] for text in texts]
        rows = [torch.tensor(vectors).sum(dim=0) if vectors else torch.tensor([1.0, 1, 1, 1, 0]) for vectors in known]
        return torch.nn.functional.normalize(torch.stack(rows), dim=1)


def preset(name: str, source: str, *overrides: str) -> list[str]:
    """Overrides that make the preset `name` one of the hand-made parts on the world at `source`."""
    target = f"_target_: {__name__}"
    return [
        f"experiment={name}", "trusted_packages=[tests]", f"data.source={source}", "data/split=from_file",
        f"data.split.path={Path(source).with_name('splits.csv')}", "~model.proposer",
        f"+model.proposer={{{target}.ColourProposer}}", "~model.encoder",
        f"+model.encoder={{{target}.ColourEncoder, abstains: false}}", "model.position=0", "callbacks.progress=null",
        "data.leakage=report",  # pictures of a few rectangles are near duplicates of each other
        *overrides,
    ]  # fmt: skip


def outcome_of(loop: Loop, request: Request, rank: Callable[[str], np.ndarray], proposals: int) -> Outcome:
    """The loop of one expression with `rank` as the one who answers."""
    dialogue = loop.dialogue(request, proposals)
    query = next(dialogue)
    while True:
        try:
            query = dialogue.send(rank(query))
        except StopIteration as stop:
            return stop.value
