"""Options of `hallmark release` that do not go together."""

import pytest


@pytest.mark.parametrize(
    ("options", "named"),
    [(["--into", "R.md"], "--into"), (["--no-tag", "--waive", "git"], "--waive, --no-tag")],
)
def test_options_of_a_release_have_no_effect_on_a_verification(hallmark, tmp_path, options, named):
    code, _, printed = hallmark("release", "--verify", str(tmp_path / "a.zip"), *options)
    assert code == 2
    assert printed.startswith(f"error: {named}: no effect with --verify")
