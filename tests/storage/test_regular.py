"""Names from lists that somebody else made: paths below a folder, or a refusal."""

from pathlib import Path

import pytest

from hallmark.storage.regular import UnsafePathError, check_name, path_below
from hostile import NAMES


@pytest.mark.parametrize(
    "name", [*NAMES.values(), "..", "a\x1bb", "a\ud800b", "/".join("d" * 3000)], ids=lambda name: ascii(name)[:40]
)
def test_a_name_that_is_no_path_below_a_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsafePathError) as refused:
        path_below(tmp_path, name)
    assert str(refused.value).isprintable() and len(str(refused.value)) < 300
    with pytest.raises(UnsafePathError):
        check_name(name)


@pytest.mark.parametrize("name", ["a.jpg", "a/b 1.jpg", "字.txt", "..a", "a:b", "12:30", "", "n" * 255, "‏עברית"])
def test_a_name_that_is_one(tmp_path: Path, name: str) -> None:
    assert path_below(tmp_path, name) == tmp_path / name


def test_links_lead_to_places_below_the_folder_alone(tmp_path: Path) -> None:
    folder = tmp_path / "real"
    (folder / "data").mkdir(parents=True)
    for name in ("outside", "real/data/inside"):
        (tmp_path / name).write_text(name)
    (folder / "good").symlink_to(folder / "data" / "inside")
    (folder / "bad").symlink_to(tmp_path / "outside")
    (folder / "up").symlink_to("..")
    (folder / "round").symlink_to("round")
    (tmp_path / "linked").symlink_to(folder)
    for root in (folder, tmp_path / "linked"):
        assert path_below(root, "good").read_text() == "real/data/inside"
        for name in ("bad", "up/outside", "up"):
            with pytest.raises(UnsafePathError, match="a link that leads out of"):
                path_below(root, name)
    assert path_below(folder, "up/real/good").read_text() == "real/data/inside"
    assert path_below(folder, "round") == folder / "round"  # nothing can be read there
