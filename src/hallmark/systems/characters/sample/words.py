"""What is said of an avatar: some attributes of a character in words that vary, without a name."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hallmark.systems.characters.sample.avatars import Character

_Words = Mapping[str, tuple[str, ...]]

_ENGLISH: Mapping[str, _Words] = {
    "hair": {
        "black": ("black", "raven"), "brown": ("brown", "chestnut"), "blond": ("blond", "golden"),
        "red": ("red", "scarlet"), "blue": ("blue", "azure"), "green": ("green", "emerald"),
        "pink": ("pink", "rose"), "silver": ("silver", "white"),
    },
    "hair_style": {
        "bob": ("in a bob", "down to the chin"), "long": ("that is long", "down to the waist"),
        "twintails": ("in twintails", "in two pigtails"), "ponytail": ("in a ponytail", "tied at the side"),
        "spiky": ("in spikes", "that stands on end"), "short": ("that is short", "cut short"),
    },
    "eyes": {
        "brown": ("brown", "hazel"), "blue": ("blue", "azure"), "green": ("green", "emerald"),
        "red": ("red", "ruby"), "violet": ("violet", "purple"), "amber": ("amber", "yellow"),
    },
    "accessory": {
        "none": ("nothing on the head", "no accessory"), "ribbon": ("a ribbon", "a red bow"),
        "glasses": ("glasses", "spectacles"), "hairband": ("a hairband", "a white headband"),
        "clip": ("a hair clip", "a yellow barrette"), "hat": ("a hat", "a purple hat"),
    },
    "cloth": {
        "navy": ("navy", "dark blue"), "white": ("white", "pale"), "crimson": ("crimson", "dark red"),
        "teal": ("teal", "blue-green"), "yellow": ("yellow", "lemon"), "gray": ("gray", "ashen"),
    },
    "outfit": {
        "sailor": ("sailor suit", "sailor uniform"), "blazer": ("blazer", "school jacket"),
        "hoodie": ("hoodie", "hooded sweater"), "dress": ("dress", "frock"),
    },
}  # fmt: skip
_CHINESE: Mapping[str, _Words] = {
    "hair": {
        "black": ("黑色", "乌黑"), "brown": ("棕色", "栗色"), "blond": ("金色", "金黄"), "red": ("红色", "绯红"),
        "blue": ("蓝色", "湛蓝"), "green": ("绿色", "碧绿"), "pink": ("粉色", "粉红"), "silver": ("银色", "银白"),
    },
    "hair_style": {
        "bob": ("波波头", "齐下巴的头发"), "long": ("长发", "及腰的头发"), "twintails": ("双马尾", "两条辫子"),
        "ponytail": ("单马尾", "侧扎的头发"), "spiky": ("刺猬头", "竖起的头发"), "short": ("短发", "剪短的头发"),
    },
    "eyes": {
        "brown": ("棕色", "褐色"), "blue": ("蓝色", "湛蓝"), "green": ("绿色", "碧绿"), "red": ("红色", "宝石红"),
        "violet": ("紫色", "紫罗兰色"), "amber": ("琥珀色", "黄色"),
    },
    "accessory": {
        "none": ("没有饰品", "头上什么都没戴"), "ribbon": ("系着丝带", "系着红色蝴蝶结"),
        "glasses": ("戴着眼镜", "架着眼镜"), "hairband": ("戴着发箍", "戴着白色发带"),
        "clip": ("别着发夹", "别着黄色发卡"), "hat": ("戴着帽子", "戴着紫色的帽子"),
    },
    "cloth": {
        "navy": ("藏青色", "深蓝"), "white": ("白色", "浅色"), "crimson": ("深红色", "暗红"),
        "teal": ("青绿色", "蓝绿"), "yellow": ("黄色", "柠檬黄"), "gray": ("灰色", "烟灰"),
    },
    "outfit": {
        "sailor": ("水手服", "水手装"), "blazer": ("西装外套", "校服外套"), "hoodie": ("连帽衫", "卫衣"),
        "dress": ("连衣裙", "长裙"),
    },
}  # fmt: skip
LANGUAGES: Mapping[str, Mapping[str, _Words]] = {"en": _ENGLISH, "zh": _CHINESE}
"""By language the words for each value of each attribute."""

_OPTIONAL = 0.8  # probability that eyes, accessory and clothes are spoken of at all
_PARTS = {
    "hair": ("hair", "hair_style"),
    "eyes": ("eyes",),
    "accessory": ("accessory",),
    "clothes": ("cloth", "outfit"),
}


def describe(character: Character, rng: np.random.Generator, *, wrong: float) -> dict[str, str]:
    """A description of `character` in each of `LANGUAGES`, which say the same.

    Hair is always spoken of; eyes, accessory and clothes mostly.

    Args:
        wrong: probability that one of the attributes spoken of is that of somebody else.
    """
    parts = [part for part in _PARTS if part == "hair" or rng.random() < _OPTIONAL]
    if rng.random() < wrong:
        spoken = [attribute for part in parts for attribute in _PARTS[part]]
        attribute = str(rng.choice(spoken))
        wrong_values = [value for value in _ENGLISH[attribute] if value != getattr(character, attribute)]
        change: dict[str, Any] = {attribute: str(rng.choice(wrong_values))}
        character = replace(character, **change)
    # A draw for every attribute, so that what is spoken of does not decide how.
    synonyms = {attribute: int(rng.integers(2)) for attribute in _ENGLISH}
    first, order = int(rng.integers(2)), rng.permutation(len(parts))

    def said(language: str) -> list[str]:
        word = {
            attribute: words[getattr(character, attribute)][synonyms[attribute]]
            for attribute, words in LANGUAGES[language].items()
        }
        sentences = {
            "en": {
                "hair": f"{word['hair']} hair {word['hair_style']}", "eyes": f"{word['eyes']} eyes",
                "accessory": word["accessory"], "clothes": f"a {word['cloth']} {word['outfit']}",
            },
            "zh": {
                "hair": f"{word['hair']}的{word['hair_style']}", "eyes": f"{word['eyes']}的眼睛",
                "accessory": word["accessory"], "clothes": f"穿{word['cloth']}的{word['outfit']}",
            },
        }[language]  # fmt: skip
        return [sentences[parts[number]] for number in order]

    return {
        "en": f"{('Somebody with', 'A person with')[first]} {', '.join(said('en'))}.",
        "zh": f"{('一个人', '画中人')[first]}，{'，'.join(said('zh'))}。",
    }
