import unicodedata

from omegaconf import OmegaConf

from hallmark.engine.config.class_folders import class_folders
from hallmark.engine.config.symbolic import stored_form


def test_classes_are_the_names_of_the_folders_in_order_as_unicode_composes_them(tmp_path):
    composed = unicodedata.normalize("NFC", "ばら")
    for name in (
        "b",
        "a",
        "~",
        "~Miku~",
        "file:x",
        "小夜",
        "初音　ミク",
        "👨‍🚀",
        unicodedata.normalize("NFD", composed),
        ".hidden",
    ):
        (tmp_path / name).mkdir()
    (tmp_path / "file.txt").touch()
    assert class_folders(str(tmp_path), ["other"]) == sorted(
        ["a", "b", "~", "~Miku~", "file:x", composed, "小夜", "初音　ミク", "👨‍🚀"]
    )


def test_without_a_folder_they_are_the_others_and_of_a_missing_folder_there_are_none(tmp_path):
    assert class_folders(None, ["x", "y"]) == ["x", "y"] and class_folders(None, None) == []
    assert class_folders(str(tmp_path / "nowhere"), ["x", "y"]) == []
    assert class_folders(2024, ["x", "y"]) == []  # as a configuration reads a folder of that name


def test_a_name_that_a_configuration_would_read_as_something_else_is_left_out(tmp_path):
    for name in ("a", "b", "${oc.env:HOME}", "end\nof line"):
        (tmp_path / name).mkdir()
    assert class_folders(str(tmp_path), None) == ["a", "b"]


def test_a_link_out_of_the_folder_is_no_class(tmp_path):
    for name in ("mine/a", "mine/b", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "mine" / "within").symlink_to("b")
    (tmp_path / "mine" / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "linked").symlink_to("mine")
    for folder in ("mine", "linked"):
        assert class_folders(str(tmp_path / folder), None) == ["a", "b", "within"]


def test_a_stored_configuration_holds_the_names_and_not_where_they_came_from(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    node = {"folder": str(tmp_path), "classes": "${class_folders:${.folder},null}"}
    stored = stored_form(OmegaConf.create({"paths": {}, "data": node, "model": {"classes": "${data.classes}"}}))
    assert OmegaConf.to_container(stored, resolve=False)["data"]["classes"] == ["a", "b"]
    (tmp_path / "c").mkdir()
    assert stored.model.classes == ["a", "b"]
