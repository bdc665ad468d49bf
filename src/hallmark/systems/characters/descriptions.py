"""Descriptions of pictures, and what characters are called: `descriptions.csv` and `aliases.csv` beside the folders."""

from collections.abc import Sequence
from pathlib import Path

from hallmark.checks import SettingError, require
from hallmark.data.problems import Problems
from hallmark.storage.delimited import DELIMITERS, TableError, TextTable, read_table
from hallmark.storage.regular import UnreadableFileError, UnsafePathError, composed, path_below
from hallmark.storage.spreadsheets import unescaped

DESCRIPTIONS, ALIASES = "descriptions.csv", "aliases.csv"

# Kinds of problems, and those for which `keep` has a meaning: the picture alone, or the most plausible reading.
REPAIRABLE = ("missing_description", "empty_description", "unreadable_description", "uncertain_encoding")
KINDS = (*REPAIRABLE, "repeated_description", "unknown_file", "unknown_name")

_LAYOUT = f"a folder with {DESCRIPTIONS} (columns file, description and, if there are several, language) in it"


def read_descriptions(
    folder: Path, pictures: Sequence[str], *, language: str | None, problems: Problems
) -> dict[str, str | None]:
    """By id of `pictures` what is said of it: "" for a picture that is kept without, None for one that is left out.

    Files are compared as Unicode composes them (NFC). Of several descriptions of a picture in one language the first
    counts; rows in other languages, and those of files beside `pictures`, are left out.

    Args:
        language: whose rows count; None for the first row of each picture.

    Raises:
        SettingError: no table of descriptions in `folder`, or none in `language`.
    """
    table = _read(folder, DESCRIPTIONS, ("file", "description"), problems)
    if table is None:
        raise SettingError("folder", str(folder), f"{_LAYOUT}; there is no {DESCRIPTIONS}")
    languages = [text.casefold() for text in table.cells["language"]] if "language" in table.cells else None
    if language is not None:
        held = ", ".join(sorted(set(languages or ()))) or "no language"
        require(language.casefold() in (languages or ()), "language", language, f"one that {DESCRIPTIONS} has: {held}")
    ids = {composed(picture): picture for picture in pictures}
    described: dict[str, str | None] = {}
    seen: set[tuple[str, str]] = set()
    for position, (file, text) in enumerate(table.cells[["file", "description"]].to_numpy().tolist()):
        line = f"{DESCRIPTIONS}, line {table.lines[position]}"
        name = composed(file.replace("\\", "/")).removeprefix("./")
        if name not in ids:
            if not _is_there(folder, name):
                problems.add(file or line, "unknown_file", f"{line}: {f'no picture {file}' if file else 'no file'}")
            continue
        picture = ids[name]
        of_row = languages[position] if languages is not None else ""
        if (picture, of_row) in seen:
            problems.add(picture, "repeated_description", f"{line}: a further description of {picture}")
            continue
        seen.add((picture, of_row))
        if picture in described or (language is not None and of_row != language.casefold()):
            continue
        if "\ufffd" in text:
            stays = problems.add(picture, "unreadable_description", f"{line}: characters that cannot be read")
        elif not any(map(str.isalnum, text)):
            stays = problems.add(picture, "empty_description", f"{line}: no word of {picture}")
        else:
            described[picture] = text
            continue
        described[picture] = "" if stays else None
    for picture in pictures:
        if picture not in described:
            stays = problems.add(picture, "missing_description", f"{picture}: not in {folder / DESCRIPTIONS}")
            described[picture] = "" if stays else None
    return described


def read_aliases(folder: Path, classes: Sequence[str], problems: Problems) -> dict[str, list[str]]:
    """By class all that it is called by: its name, and the aliases and translations of `aliases.csv` if there is one.

    Raises:
        SettingError: a file of that name that is no table with the columns name and alias.
    """
    names = {name: [name] for name in classes}
    table = _read(folder, ALIASES, ("name", "alias"), problems)
    known_names = {composed(name): name for name in classes}
    for position, (name, alias) in enumerate(table.cells[["name", "alias"]].to_numpy().tolist() if table else ()):
        line = f"{ALIASES}, line {table.lines[position]}" if table else ""
        known = known_names.get(composed(name))
        if known is not None and alias:
            names[known].append(alias)
        elif not alias or not _is_there(folder, name):
            cause = f"no character {name}" if alias else "no alias"
            problems.add(name or line, "unknown_name", f"{line}: {cause}")
    return names


def _read(folder: Path, name: str, required: Sequence[str], problems: Problems) -> TextTable | None:
    """The table `name` in `folder`; None where there is none."""
    try:
        path = path_below(folder, name)
        if not path.exists():
            return None
        table = read_table(path, required=required, delimiters=DELIMITERS, tidy=True)
    except (TableError, UnreadableFileError, UnsafePathError) as error:
        raise SettingError("folder", str(folder), f"tables that can be read; {error}") from error
    if table.doubt:
        problems.add(name, "uncertain_encoding", table.doubt)
    return TextTable(unescaped(table.cells), table.lines, table.doubt)


def _is_there(folder: Path, name: str) -> bool:
    """Whether `name` is a file or folder in `folder`, such as one that is listed itself, or of another character."""
    try:
        return bool(name) and path_below(folder, name).exists()
    except UnsafePathError:
        return False
