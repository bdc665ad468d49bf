"""Every command in a code block of README.md and docs, in the order of the pages, and those that cannot be run here."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]

_PROGRAMS = ("python", "hallmark", "make", "pytest", "torchrun")
_FENCED = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_COMMENT = re.compile(r"\s+# .*")
_FILE = re.compile(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)

GUIDE = PROJECT / "docs" / "guide.md"

# The only commands that are not run, by what they contain, with the reason.
NOT_RUN = {
    "make test": "runs the tests, which run the commands of these pages",
    "profile=full": "published weights and a corpus of the reader's own",
    "benchmarks.sentiment_real": "a real corpus, which the project does not hold",
    "trainer=torchrun": "two nodes; tests/e2e/test_torchrun.py types it",
    "workers=slurm": "a cluster and a database server; `benchmarks.workers` runs such sweeps",
    "workers=ray": "a cluster and a database server; `benchmarks.workers` runs such sweeps",
    "benchmarks.touch_stress": "real recordings, which the project does not hold",
}


@dataclass(frozen=True)
class Command:
    """A command as it stands on a page.

    Attributes:
        block: the page and the heading above the block, with a number from the second block under one heading.
        line: of the page.
    """

    page: str
    block: str
    line: int
    text: str

    @property
    def not_run(self) -> str | None:
        """Why it is not run; None where it is."""
        return next((reason for part, reason in NOT_RUN.items() if part in self.text), None)


def commands() -> list[Command]:
    """Every command of the pages, block by block."""
    collected = []
    for path in (PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))):
        text, page = path.read_text(encoding="utf-8"), path.relative_to(PROJECT).as_posix()
        numbers: dict[str, int] = {}
        for fenced in _FENCED.finditer(text):
            headings = [heading[1] for heading in _HEADING.finditer(text[: fenced.start()])]
            title = f"{page}, {headings[-1]}" if headings else page
            numbers[title] = numbers.get(title, 0) + 1
            block = title if numbers[title] == 1 else f"{title} ({numbers[title]})"
            first = text.count("\n", 0, fenced.start(1)) + 1
            joined = re.sub(r" *\\\n *", " ", fenced[1])
            for line, words in enumerate(joined.splitlines(), start=first):
                if words.split(" ")[0] in _PROGRAMS:
                    collected.append(Command(page, block, line, _COMMENT.sub("", words).strip()))
    return collected


def unknown_exceptions() -> list[str]:
    """The entries of `NOT_RUN` that no page has any more."""
    texts = [command.text for command in commands()]
    return [part for part in NOT_RUN if not any(part in text for text in texts)]


def resolved(text: str, outputs: Path) -> str:
    """`text` with `<id>` as the result that was made last in its experiment, and `<archive>` as the newest archive.

    Raises:
        LookupError: there is none.
    """
    if match := re.search(r"outputs/(\w+)/<id>", text):
        results = [*(outputs / match[1]).glob("*/record.json"), *(outputs / match[1]).glob("*/repeats.json")]
        if not results:
            raise LookupError(f"{text}: no result in {outputs / match[1]}")
        text = text.replace("<id>", max(results, key=lambda path: path.stat().st_mtime).parent.name)
    if "<archive>" in text:
        archives = sorted(outputs.rglob("*.zip"), key=lambda path: path.stat().st_mtime)
        if not archives:
            raise LookupError(f"{text}: no archive in {outputs}")
        text = text.replace("<archive>", archives[-1].stem)
    return text


def guide_files() -> dict[str, str]:
    """The files of the system that docs/guide.md builds, by their paths."""
    return dict(_FILE.findall(GUIDE.read_text(encoding="utf-8")))


def bring_own_files(tree: Path) -> None:
    """What a reader would bring: heads, the system of the guide, pictures with expressions, and frames."""
    shutil.copytree(Path(__file__).parent / "mypackage", tree / "mypackage", dirs_exist_ok=True)
    for name, text in guide_files().items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    folder = tree / "assets" / "real"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "expressions.csv").write_text("image,expression\nshapes.png,the red square\nshapes.png,the blue disc\n")
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (160, 120), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 30, 60, 70), fill="red")
    draw.ellipse((95, 40, 140, 85), fill="blue")
    image.save(folder / "shapes.png")
    clip = tree / "assets" / "clip"
    clip.mkdir(exist_ok=True)
    for frame in range(3):
        image.rotate(frame).save(clip / f"{frame}.png")
