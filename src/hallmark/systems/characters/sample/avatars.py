"""Avatars: who is drawn, and how a picture of them differs from the next."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

_HAIR = {
    "black": (44, 40, 52), "brown": (124, 78, 48), "blond": (236, 200, 96), "red": (196, 62, 52),
    "blue": (72, 112, 204), "green": (84, 164, 108), "pink": (240, 148, 184), "silver": (204, 208, 220),
}  # fmt: skip
_EYES = {
    "brown": (108, 66, 40), "blue": (52, 112, 212), "green": (52, 152, 84), "red": (200, 48, 60),
    "violet": (136, 72, 188), "amber": (224, 152, 32),
}  # fmt: skip
_CLOTH = {
    "navy": (52, 64, 116), "white": (240, 240, 236), "crimson": (172, 40, 60), "teal": (44, 136, 140),
    "yellow": (236, 204, 84), "gray": (124, 128, 136),
}  # fmt: skip
_SKIN = ((255, 228, 206), (250, 214, 186), (232, 186, 150))
_INK = (52, 40, 44)

HAIR_STYLES = ("bob", "long", "twintails", "ponytail", "spiky", "short")
EYE_SHAPES = ("round", "narrow", "tall")
ACCESSORIES = ("none", "ribbon", "glasses", "hairband", "clip", "hat")
OUTFITS = ("sailor", "blazer", "hoodie", "dress")


@dataclass(frozen=True)
class Character:
    """What every picture of a character shares."""

    hair: str
    hair_style: str
    eyes: str
    eye_shape: str
    accessory: str
    outfit: str
    cloth: str
    skin: int


def cast(n: int, seed: int) -> list[Character]:
    """`n` characters, no two of whom share both hair and hair style; but of the first four, the second is the first
    with other eyes, and the fourth is the third with another accessory.

    The first characters do not depend on `n`.
    """
    rng = np.random.default_rng(seed)
    looks = [(hair, style) for hair in _HAIR for style in HAIR_STYLES]
    order = rng.permutation(len(looks))
    drawn = []
    for number in range(n):
        hair, style = looks[order[number % len(looks)]]
        eyes, shape, accessory, outfit, cloth = (
            str(rng.choice(values)) for values in (list(_EYES), EYE_SHAPES, ACCESSORIES, OUTFITS, list(_CLOTH))
        )
        drawn.append(Character(hair, style, eyes, shape, accessory, outfit, cloth, int(rng.integers(len(_SKIN)))))
    if n > 1:
        drawn[1] = replace(drawn[0], eyes=_next(list(_EYES), drawn[0].eyes))
    if n > 3:
        drawn[3] = replace(drawn[2], accessory=_next(ACCESSORIES, drawn[2].accessory))
    return drawn


def _next(values: Sequence[str], value: str) -> str:
    return values[(values.index(value) + 1) % len(values)]


class Avatar:
    """One picture of `character`; pose, expression, background, line width and crop are drawn from `rng`.

    Lengths are shares of the side, with the origin in the middle of the face, x to the right and y down.

    Args:
        side: pixels of the square canvas.
    """

    def __init__(self, character: Character, rng: np.random.Generator, side: int) -> None:
        self.character, self.side = character, side
        background = tuple(int(level) for level in rng.integers(90, 250, 3))
        self.image = Image.new("RGB", (side, side), background)
        self.pen = ImageDraw.Draw(self.image)
        x, y, scale = rng.uniform(-0.06, 0.06), rng.uniform(-0.04, 0.06), rng.uniform(0.9, 1.12)
        self.center = (0.5 + x, 0.5 + y)
        self.scale = scale
        self.turn = float(rng.uniform(-0.06, 0.06))  # how far the features move to a side
        self.line = max(1, round(side * float(rng.uniform(0.006, 0.014))))
        self.mouth, self.brows = float(rng.uniform(-1, 1)), float(rng.uniform(-0.02, 0.02))
        self.closed = bool(rng.random() < 0.12)
        light = float(rng.uniform(0.88, 1.06))
        self.hair, self.iris, self.cloth, self.skin = (
            tuple(min(255, int(light * level)) for level in color)
            for color in (
                _HAIR[character.hair], _EYES[character.eyes], _CLOTH[character.cloth], _SKIN[character.skin],
            )
        )  # fmt: skip
        self._stripes(rng)
        self._back_hair()
        self._outfit()
        self._face()
        self._front_hair()
        self._accessory()

    def _point(self, x: float, y: float) -> tuple[float, float]:
        return (
            self.side * (self.center[0] + self.scale * x),
            self.side * (self.center[1] + self.scale * y),
        )

    def _oval(self, x: float, y: float, rx: float, ry: float, color: tuple[int, ...], *, outlined: bool = True) -> None:
        left, top = self._point(x - rx, y - ry)
        right, bottom = self._point(x + rx, y + ry)
        self.pen.ellipse((left, top, right, bottom), color, _INK if outlined else None, self.line if outlined else 0)

    def _shape(self, points: list[tuple[float, float]], color: tuple[int, ...]) -> None:
        corners = [self._point(x, y) for x, y in points]
        self.pen.polygon(corners, color, _INK, self.line)

    def _stroke(self, points: list[tuple[float, float]], color: tuple[int, ...], width: float = 1.0) -> None:
        corners = [self._point(x, y) for x, y in points]
        self.pen.line(corners, color, max(1, round(width * self.line)), "curve")

    def _stripes(self, rng: np.random.Generator) -> None:
        color = tuple(int(level) for level in rng.integers(90, 250, 3))
        step = self.side / int(rng.integers(3, 9))
        shift, slope = float(rng.uniform(0, step)), float(rng.uniform(-1, 1)) * self.side
        for start in np.arange(-self.side, 2 * self.side, 2 * step) + shift:
            self.pen.line((start, 0, start + slope, self.side), color, round(step))

    def _back_hair(self) -> None:
        style = self.character.hair_style
        if style == "long":
            self._shape([(-0.3, -0.1), (-0.34, 0.46), (0.34, 0.46), (0.3, -0.1)], self.hair)
        if style == "twintails":
            for side in (-1, 1):
                self._oval(0.37 * side, 0.12, 0.1, 0.3, self.hair)
        if style == "ponytail":
            self._oval(0.33, -0.16, 0.14, 0.34, self.hair)
        if style == "bob":
            self._oval(0, 0.02, 0.33, 0.34, self.hair)
        self._oval(0, -0.08, 0.3, 0.3, self.hair)

    def _outfit(self) -> None:
        self._shape([(-0.09, 0.15), (-0.09, 0.36), (0.09, 0.36), (0.09, 0.15)], self.skin)
        self._shape([(-0.34, 0.6), (-0.26, 0.36), (0, 0.31), (0.26, 0.36), (0.34, 0.6)], self.cloth)
        outfit = self.character.outfit
        if outfit == "sailor":
            self._shape([(-0.2, 0.34), (0, 0.52), (0.2, 0.34), (0, 0.4)], (244, 244, 244))
        elif outfit == "blazer":
            self._shape([(-0.07, 0.34), (0, 0.56), (0.07, 0.34)], (248, 248, 248))
        elif outfit == "hoodie":
            self._oval(0, 0.37, 0.2, 0.06, self.cloth)
        else:
            self._shape([(-0.2, 0.36), (0, 0.42), (0.2, 0.36), (0, 0.32)], self.skin)

    def _face(self) -> None:
        self._oval(0, 0, 0.24, 0.27, self.skin)
        shape = self.character.eye_shape
        rx, ry = {"round": (0.06, 0.06), "narrow": (0.066, 0.036), "tall": (0.048, 0.075)}[shape]
        for side in (-1, 1):
            x, y = self.turn + 0.105 * side, 0.02
            if self.closed:
                self._stroke([(x - rx, y), (x, y + 0.02), (x + rx, y)], _INK, 1.5)
            else:
                self._oval(x, y, rx, ry, (252, 252, 252))
                self._oval(x, y + 0.1 * ry, 0.72 * rx, 0.82 * ry, self.iris, outlined=False)
                self._oval(x - 0.2 * rx, y - 0.3 * ry, 0.22 * rx, 0.22 * ry, (255, 255, 255), outlined=False)
            self._stroke([(x - 0.06, y - 0.1 + self.brows * side), (x + 0.06, y - 0.1 - self.brows * side)], _INK)
        curve = 0.02 * self.mouth
        self._stroke([(self.turn - 0.05, 0.15), (self.turn, 0.15 + curve), (self.turn + 0.05, 0.15)], _INK, 1.2)

    def _front_hair(self) -> None:
        style = self.character.hair_style
        if style == "spiky":
            tips = [(-0.3, 0.02), (-0.36, -0.2), (-0.22, -0.2), (-0.2, -0.42), (-0.06, -0.3), (0.04, -0.46),
                    (0.12, -0.3), (0.28, -0.38), (0.26, -0.2), (0.36, -0.16), (0.3, 0.02)]  # fmt: skip
        else:
            tips = [(-0.28, 0.04), (-0.3, -0.16), (-0.18, -0.35), (0, -0.39), (0.18, -0.35), (0.3, -0.16), (0.28, 0.04)]
        parting = 0.06 if style in ("short", "ponytail") else 0.0
        fringe = [(0.2, -0.1), (0.13, -0.18), (0.06, -0.08 - parting), (-0.02, -0.18), (-0.1, -0.08), (-0.18, -0.16)]
        self._shape([*tips, *fringe], self.hair)
        if style in ("bob", "long"):
            for side in (-1, 1):
                self._shape(
                    [(0.29 * side, -0.1), (0.3 * side, 0.24), (0.2 * side, 0.2), (0.23 * side, -0.1)], self.hair
                )

    def _accessory(self) -> None:
        accessory = self.character.accessory
        if accessory == "ribbon":
            for side in (-1, 1):
                self._shape([(0, -0.36), (0.15 * side, -0.46), (0.15 * side, -0.28)], (220, 48, 72))
        elif accessory == "glasses":
            for side in (-1, 1):
                left, top = self._point(self.turn + 0.105 * side - 0.085, -0.06)
                right, bottom = self._point(self.turn + 0.105 * side + 0.085, 0.1)
                self.pen.ellipse((left, top, right, bottom), None, (24, 24, 32), 2 * self.line)
        elif accessory == "hairband":
            self._stroke(
                [(-0.27, -0.16), (-0.16, -0.31), (0, -0.345), (0.16, -0.31), (0.27, -0.16)], (250, 250, 250), 5
            )
        elif accessory == "clip":
            self._shape([(0.16, -0.2), (0.26, -0.24), (0.27, -0.18), (0.17, -0.14)], (252, 208, 40))
        elif accessory == "hat":
            self._shape([(-0.36, -0.24), (-0.2, -0.28), (-0.16, -0.48), (0.16, -0.48), (0.2, -0.28), (0.36, -0.24)],
                        (88, 60, 120))  # fmt: skip
