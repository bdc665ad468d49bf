"""Which character is meant: by name, or by its number among the classes."""

from collections.abc import Sequence

from hallmark.checks import SettingError


def class_number(target_class: str | int, classes: Sequence[str]) -> int:
    """The number of a class; a name goes before a number.

    Raises:
        SettingError: none of the classes is meant.
    """
    text = str(target_class)
    if text in classes:
        return list(classes).index(text)
    if text.isdecimal() and int(text) < len(classes):
        return int(text)
    listed = ", ".join(f"{number} {name}" for number, name in enumerate(classes))
    raise SettingError("target_class", target_class, f"a name or a number of {listed}, or null for all")
