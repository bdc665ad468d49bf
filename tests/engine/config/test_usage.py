import pytest

from hallmark.engine.config.usage import show_usage_if_asked, usage


def test_presets_of_a_package_of_ones_own_are_listed(tmp_path, capsys, monkeypatch, project):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# My own preset.\n")
    for typed in (["--config-dir", str(tmp_path)], ["-cd", str(tmp_path)], [f"--config-dir={tmp_path}"]):
        monkeypatch.setattr("sys.argv", [str(project / "train.py"), "--help", *typed])
        with pytest.raises(SystemExit):
            show_usage_if_asked("train")
        printed = capsys.readouterr().out
        assert "My own preset." in printed and "clip_final" in printed


def test_a_long_preset_name_is_parted_from_its_description(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "train.yaml").write_text("# Everything a run is made of.\n")
    for name in ("short", "a_name_of_more_than_eighteen"):
        (tmp_path / "experiment" / f"{name}.yaml").write_text("# What it is.\n")
    lines = usage(tmp_path, "train").splitlines()
    starts = {line.index("What it is.") for line in lines if "What it is." in line}
    assert len(starts) == 1 and "  a_name_of_more_than_eighteen What it is." in lines
