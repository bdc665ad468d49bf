import re

import numpy as np
import pytest

from hallmark.systems.characters.sample.avatars import cast
from hallmark.systems.characters.sample.words import LANGUAGES, describe

PARTS = {
    "en": {
        "accessory": r"(?P<accessory>{accessory})", "clothes": r"a (?P<cloth>.+?) (?P<outfit>{outfit})",
        "hair": r"(?P<hair>[\w-]+) hair (?P<hair_style>.+)", "eyes": r"(?P<eyes>[\w-]+) eyes",
    },
    "zh": {
        "eyes": r"(?P<eyes>.+?)的眼睛", "clothes": r"穿(?P<cloth>.+?)的(?P<outfit>{outfit})",
        "accessory": r"(?P<accessory>{accessory})", "hair": r"(?P<hair>.+?)的(?P<hair_style>.+)",
    },
}  # fmt: skip


def attributes(text: str, language: str) -> dict[str, str]:
    """What a description says, by attribute."""
    words = {
        attribute: {word: value for value, both in values.items() for word in both}
        for attribute, values in LANGUAGES[language].items()
    }
    patterns = [
        re.compile(pattern.format(**{name: "|".join(map(re.escape, of)) for name, of in words.items()}))
        for pattern in PARTS[language].values()
    ]
    stated: dict[str, str] = {}
    start, separator = (" with ", ", ") if language == "en" else ("，", "，")
    for part in text[:-1].partition(start)[2].split(separator):
        match = next(match for pattern in patterns if (match := pattern.fullmatch(part)))
        stated |= {attribute: words[attribute][word] for attribute, word in match.groupdict().items()}
    return stated


@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_descriptions_say_what_a_character_is_but_for_one_attribute_where_they_are_wrong(wrong):
    rng, spoken = np.random.default_rng(0), []
    for person in cast(40, seed=3):
        by_language = describe(person, rng, wrong=wrong)
        stated = {language: attributes(text, language) for language, text in by_language.items()}
        assert stated["en"] == stated["zh"] and set(stated["en"]) >= {"hair", "hair_style"}
        differing = [name for name, value in stated["en"].items() if getattr(person, name) != value]
        assert len(differing) == wrong
        spoken += [*stated["en"]]
    assert {"eyes", "accessory", "cloth", "outfit"} <= set(spoken) and spoken.count("eyes") < 40


def test_every_value_of_an_attribute_has_two_words_of_its_own_in_each_language():
    for languages in LANGUAGES.values():
        for values in languages.values():
            words = [word for both in values.values() for word in both]
            assert len(words) == len(set(words)) == 2 * len(values)
    assert len({tuple((name, tuple(values)) for name, values in of.items()) for of in LANGUAGES.values()}) == 1
