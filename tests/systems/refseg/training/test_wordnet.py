from hallmark.systems.refseg.training.wordnet import synonyms

# Synsets in the format of wndb(5WN): red (noun) has two senses, of which the first has a hyponym.
DATA = {
    "noun": [
        "  1 a license",
        "00000100 07 n 02 red 0 redness 0 002 @ 00000900 n 0000 ~ 00000200 n 0000 | the color of blood",
        "00000200 07 n 02 Deep_Red 0 cherry 0 001 @ 00000100 n 0000 | a deep red",
        "00000300 07 n 02 Marxist 0 red 1 000 | somebody of the left",
        "00000400 07 n 02 ball 0 circle 0 000 | it is round",
        "00000900 07 n 01 color 0 001 ~ 00000100 n 0000 | what is seen",
    ],
    "adj": [
        "00000100 00 a 02 large 0 big(a) 0 002 & 00000200 a 0000 ! 00000300 a 0101 | above the average",
        "00000200 00 s 02 huge 0 cherry 0 000 | very large",
        "00000300 00 a 01 small 0 000 | below the average",
    ],
    "adv": ["00000100 02 r 02 above 0 supra 0 000 | higher on this page"],
}  # fmt: skip
INDEX = {
    "noun": [
        "  1 a license",
        "circle n 1 0 1 0 00000400",
        "red n 2 2 @ ~ 2 1 00000100 00000300",
    ],
    "adj": ["big a 1 2 & ! 1 1 00000100", "large a 1 2 & ! 1 1 00000100"],
    "adv": ["above r 1 0 1 0 00000100", "the r 1 0 1 0 00000100"],
}  # fmt: skip


def test_lemmas_of_first_senses_and_of_what_is_next_to_them(tmp_path):
    for name, parts in (("data", DATA), ("index", INDEX)):
        for part, lines in parts.items():
            (tmp_path / f"{name}.{part}").write_text("\n".join(lines) + "\n")
    table = synonyms(tmp_path, ["red", "circle", "big", "large", "above", "the", "square"])
    assert table == {
        "ball": "circle", "cherry": "big", "deep red": "red", "huge": "big", "redness": "red", "supra": "above",
    }  # fmt: skip
