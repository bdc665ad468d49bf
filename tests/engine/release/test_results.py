import re

import pytest

from hallmark.engine.release.results import write_between_markers


@pytest.mark.parametrize("text", ["<!-- hallmark release: a -->\n", "<!-- end of hallmark release: a -->\n"])
def test_half_a_pair_of_markers_is_not_written_over(tmp_path, text):
    (tmp_path / "R.md").write_text(text)
    with pytest.raises(ValueError, match="needs both"):
        write_between_markers(tmp_path / "R.md", "a", "block")
    assert (tmp_path / "R.md").read_text() == text


def test_blocks_of_two_experiments_live_in_one_file(tmp_path):
    path = tmp_path / "R.md"
    for name, block in (("a", "one"), ("ab", "two"), ("a", "three")):
        write_between_markers(path, name, block)
    text = path.read_text()
    assert "one" not in text and text.index("three") < text.index("two")
    assert len(re.findall("<!-- hallmark release", text)) == 2
