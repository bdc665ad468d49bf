import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hallmark.data.masks import Proposals
from hallmark.systems.refseg.proposers.base import Proposer
from hallmark.systems.refseg.proposers.boxes import BoxGrid
from hallmark.systems.refseg.proposers.cache import CachedProposer

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 12, 15, 3), dtype=np.uint8)


def grid(**changed) -> BoxGrid:
    return BoxGrid(**{"scales": [0.4, 1.0], "overlap": 0.3} | changed)


class Nothing(Proposer):
    def settings(self):
        return {"kind": "nothing"}

    def propose(self, image):
        return Proposals.of([], [], image.shape[:2])


def same(first: Proposals, second: Proposals) -> bool:
    return (
        first.rles == second.rles and first.size == second.size
        and (first.boxes == second.boxes).all() and (first.scores == second.scores).all()
    )  # fmt: skip


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_an_image_is_proposed_for_once(tmp_path):
    first, again = CachedProposer(grid(), tmp_path), CachedProposer(grid(), tmp_path)
    proposed = [first.propose(image) for image in (*IMAGES, IMAGES[0])]
    cached = [again.propose(image.copy()) for image in (*IMAGES, IMAGES[0])]
    assert (first.requested, first.computed, again.requested, again.computed) == (5, 4, 5, 0)
    assert all(same(proposals, other) for proposals, other in zip(proposed, cached, strict=True))
    assert all(same(proposals, grid().propose(image)) for proposals, image in zip(cached, IMAGES, strict=False))


@pytest.mark.parametrize("changed", [{"overlap": 0.4}, {"scales": [0.4]}])
def test_other_settings_and_other_pixels_are_others(tmp_path, changed):
    CachedProposer(grid(), tmp_path).propose(IMAGES[0])
    other, noisy = CachedProposer(grid(**changed), tmp_path), CachedProposer(grid(), tmp_path)
    other.propose(IMAGES[0])
    noisy.propose(IMAGES[0] ^ 1)
    noisy.propose(IMAGES[0].reshape(15, 12, 3))
    noisy.propose(IMAGES[0])
    assert (other.computed, noisy.computed) == (1, 2)
    assert other.settings() == grid(**changed).settings()


def test_nothing_proposed_is_remembered_too(tmp_path):
    CachedProposer(Nothing(), tmp_path).propose(IMAGES[0])
    again = CachedProposer(Nothing(), tmp_path)
    assert len(again.propose(IMAGES[0])) == 0 and again.computed == 0


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "null", '{"size": [12, 15]}', '{"size": [1, 1], "counts": [], "scores": []}']
)
def test_a_damaged_file_is_written_again(tmp_path, damage):
    CachedProposer(grid(), tmp_path).propose(IMAGES[0])
    [file] = files(tmp_path)
    file.write_text(damage)
    again = CachedProposer(grid(), tmp_path)
    assert same(again.propose(IMAGES[0]), grid().propose(IMAGES[0])) and again.computed == 1
    json.loads(file.read_text())["counts"][0]
    held = json.loads(file.read_text())
    held["counts"][0] = "PPPP"
    file.write_text(json.dumps(held))
    assert same(CachedProposer(grid(), tmp_path).propose(IMAGES[0]), grid().propose(IMAGES[0]))


def test_two_processes_share_a_folder(tmp_path):
    code = (
        "import sys; import numpy as np; from pathlib import Path\n"
        "from hallmark.systems.refseg.proposers.boxes import BoxGrid\n"
        "from hallmark.systems.refseg.proposers.cache import CachedProposer\n"
        "images = np.random.default_rng(0).integers(0, 256, (4, 12, 15, 3), dtype=np.uint8)\n"
        "for _ in range(20):\n"
        "    for image in images:\n"
        "        kept = CachedProposer(BoxGrid(scales=[0.4, 1.0], overlap=0.3), Path(sys.argv[1]))\n"
        "        assert kept.propose(image).rles == kept.proposer.propose(image).rles\n"
        "    for file in kept.cache.folder.rglob('[!.]*.json'):\n"
        "        file.unlink(missing_ok=True)\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, tmp_path], stderr=subprocess.PIPE) for _ in range(2)]
    errors = [process.communicate()[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert not [path for path in files(tmp_path) if path.name.startswith(".")]
