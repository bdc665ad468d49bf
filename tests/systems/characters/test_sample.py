import filecmp
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.systems.characters.conftest import NAMES, SAMPLE

from hallmark.checks import SettingError
from hallmark.systems.characters.sample.avatars import Avatar, cast
from hallmark.systems.characters.sample.world import generate


def _files(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_equal_arguments_give_equal_bytes_and_a_picture_does_not_depend_on_how_many_there_are(world, tmp_path):
    again, larger = generate(tmp_path / "a", **SAMPLE), generate(tmp_path / "b", **{**SAMPLE, "pictures": 16})
    names = _files(world)
    assert len(names) == 1 + 5 * 12
    assert filecmp.cmpfiles(world, again, names, shallow=False)[0] == names
    drawn = [name for name in names if name.endswith(".jpg") and not name.endswith("011.jpg")]
    assert filecmp.cmpfiles(world, larger, drawn, shallow=False)[0] == drawn
    other = generate(tmp_path / "c", **{**SAMPLE, "seed": 8})
    assert not filecmp.cmpfiles(world, other, drawn, shallow=False)[0]


def test_known_characters_and_others_have_folders_of_their_names(world):
    assert {path.name for path in (world / "characters").iterdir()} == set(NAMES)
    assert {path.name for path in (world / "unknown").iterdir()} == {"Emi"}


def test_three_faults_are_made_for_the_checks_of_the_data(world):
    known = [world / "characters" / name for name in NAMES]
    assert (known[0] / "011.jpg").read_bytes() == (known[0] / "000.jpg").read_bytes()
    assert (known[-1] / "011.jpg").read_bytes() == (known[0] / "001.jpg").read_bytes()
    first, copy = (np.asarray(Image.open(known[1] / name), float) for name in ("000.jpg", "011.jpg"))
    assert 0 < np.abs(first - copy).mean() < 12
    contents = Counter(path.read_bytes() for path in world.rglob("*.jpg"))
    assert sorted(contents.values())[-3:] == [1, 2, 2]


def test_descriptions_are_added_beside_the_same_pictures_and_hold_no_name(world, tmp_path):
    described = generate(tmp_path / "described", **SAMPLE, wrong_descriptions=0.2)
    names = [name for name in _files(world) if name.endswith(".jpg")]
    assert filecmp.cmpfiles(world, described, names, shallow=False)[0] == names
    tables = sorted(set(_files(described)) - set(_files(world)))
    assert tables == ["characters/descriptions.csv", "unknown/descriptions.csv"]
    rows = pd.concat([pd.read_csv(described / name) for name in tables])
    files = [f"{name}/{number:03d}.jpg" for name in [*NAMES, "Emi"] for number in range(12)]
    for language in ("en", "zh"):
        assert rows.loc[rows["language"] == language, "file"].tolist() == files
    assert not rows["description"].str.casefold().str.contains("|".join([*NAMES, "Emi"]).casefold()).any()


def test_the_share_of_wrong_descriptions_is_the_stated_one(tmp_path):
    shares = [0.0, 0.2]
    texts = [
        pd.read_csv(
            generate(tmp_path / str(share), **{**SAMPLE, "pictures": 60}, wrong_descriptions=share) / "characters"
            / "descriptions.csv"
        )["description"]
        for share in shares
    ]  # fmt: skip
    changed = (texts[0] != texts[1]).mean()
    assert abs(changed - 0.2) < 0.06


def test_two_pairs_of_characters_differ_in_one_attribute_and_all_others_in_hair(world):
    people = cast(15, seed=7)

    def differences(first: int, second: int) -> list[str]:
        return [name for name, value in vars(people[first]).items() if value != vars(people[second])[name]]

    assert differences(0, 1) == ["eyes"] and differences(2, 3) == ["accessory"]
    others = [person for number, person in enumerate(people) if number not in (1, 3)]
    assert len({(person.hair, person.hair_style) for person in others}) == len(others)
    assert cast(4, seed=7) == people[:4]


def test_the_attributes_of_a_character_show_in_the_pictures():
    first, second, *_ = cast(4, seed=7)

    def mean(person) -> np.ndarray:
        drawn = [Avatar(person, np.random.default_rng(seed), 64).image for seed in range(30)]
        return np.stack([np.asarray(image, float) for image in drawn]).mean(axis=0)

    change = np.abs(mean(first) - mean(second)).mean(axis=2)
    eyes = change[28:42, 20:44]
    assert change.max() == eyes.max() and eyes.mean() > 10 * change[:16].mean()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("characters", ["Aoi"]), ("characters", ["Aoi", "../x"]), ("characters", ["Aoi", "a/b"]), ("unknown", ["Aoi"]),
        ("characters", ["Aoi", "Aoi", "Ren"]), ("unknown", ["Emi", "Emi"]),
        ("pictures", 3), ("image_size", 31), ("seed", -1), ("wrong_descriptions", 1.2),
    ],
)  # fmt: skip
def test_arguments_out_of_range_are_refused_by_their_name(tmp_path, key, value):
    with pytest.raises(SettingError) as refused:
        generate(tmp_path / "world", **{**SAMPLE, key: value})
    assert refused.value.key == key and not (tmp_path / "world").exists()
