from hallmark.engine.config.usage import usage


def test_a_long_preset_name_is_parted_from_its_description(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "train.yaml").write_text("# Everything a run is made of.\n")
    for name in ("short", "a_name_of_more_than_eighteen"):
        (tmp_path / "experiment" / f"{name}.yaml").write_text("# What it is.\n")
    lines = usage(tmp_path, "train").splitlines()
    starts = {line.index("What it is.") for line in lines if "What it is." in line}
    assert len(starts) == 1 and "  a_name_of_more_than_eighteen What it is." in lines
