"""Pictures of four characters and of one more, whom the tests of learning from a few pictures share."""

from pathlib import Path

NAMES = ["Aoi", "Ren", "Mika", "小夜"]


def pictures(faces: Path, name: str, numbers: range) -> list[Path]:
    folder = faces / "all" / name if name != "Emi" else faces / "world" / "unknown" / name
    return [folder / f"{number:03d}.jpg" for number in numbers]
