import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from tests.systems.characters.conftest import NAMES, SAMPLE

from hallmark.checks import SettingError
from hallmark.data.leakage import LeakageError
from hallmark.data.names import PIECE, WORD
from hallmark.data.problems import BadDataError
from hallmark.learning.encoders.base import ImageEncoder, TextEncoder
from hallmark.learning.encoders.hf_text import piece_spans
from hallmark.systems.characters.sample.world import generate

TINY_BERT = "package:hallmark/systems/characters/assets/tiny_bert"


class Lengths(TextEncoder):
    def tokenize(self, texts):
        return {"lengths": torch.tensor([[len(text)] for text in texts])}


@pytest.fixture(scope="session")
def described_world(tmp_path_factory) -> Path:
    return generate(tmp_path_factory.mktemp("described") / "world", **SAMPLE, wrong_descriptions=0.2)


@pytest.fixture
def copied(described_world, tmp_path) -> Path:
    """The pictures and descriptions of the sample world as a user's folder."""
    return Path(shutil.copytree(described_world / "characters", tmp_path / "mine"))


@pytest.fixture
def prepared(described, copied):
    """A function from arguments to the data module of `copied`, prepared."""

    def module(**arguments):
        data = described(**{"folder": str(copied), "classes": NAMES, **arguments})
        data.prepare()
        return data

    return module


def write(
    folder: Path, rows: list[tuple[str, ...]], columns: str = "file,description", name="descriptions.csv"
) -> None:
    pd.DataFrame(rows, columns=columns.split(",")).to_csv(folder / name, index=False)


def listed(data) -> dict[str, list[str]]:
    return data.problems.table().groupby("kind")["id"].agg(list).to_dict()


def test_a_row_has_the_description_of_its_picture_in_the_language_that_is_asked_for(prepared, copied):
    table = pd.read_csv(copied / "descriptions.csv")
    for language in ("en", "zh"):
        rows = prepared(language=language).samples
        of_language = table[table["language"] == language].set_index("file")["description"]
        assert rows["text"].tolist() == of_language[rows["id"]].tolist()
    assert prepared(language=None).samples["text"].tolist() == prepared(language="en").samples["text"].tolist()
    with pytest.raises(SettingError) as refused:
        prepared(language="fr")
    assert refused.value.key.endswith("language")


def test_each_fault_of_a_table_is_listed_by_name_and_its_picture_is_kept_alone(prepared, copied):
    files = [f"{name}/{number:03d}.jpg" for name in NAMES for number in range(12)]
    (copied / "Other").mkdir()
    shutil.copy(copied / files[2], copied / "Other" / "000.jpg")
    rows = [(file, "brown hair") for file in files[3:]]
    rows[1:1] = [
        (files[3], "red hair"), ("Aoi\\002.jpg", "long hair"), ("Aoi/999.jpg", "nobody"), ("", "no file"),
        ("../secret.jpg", "outside"), ("Other/000.jpg", "of a character that is not asked for"),
    ]  # fmt: skip
    rows[-1], rows[-2] = (files[-1], " "), (files[-2], "br\ufffdwn")
    write(copied, rows)
    data = prepared(language=None, on_problem={"unreadable_description": "skip"})
    problems = listed(data)
    assert problems["repeated_description"] == ["Aoi/003.jpg"]
    assert problems["unknown_file"] == ["Aoi/999.jpg", "descriptions.csv, line 6", "../secret.jpg"]
    assert problems["empty_description"] == [files[-1]] and problems["unreadable_description"] == [files[-2]]
    assert problems["missing_description"] == files[:2]
    texts = data.samples.set_index("id")["text"]
    assert texts["Aoi/003.jpg"] == "brown hair" and texts["Aoi/002.jpg"] == "long hair" and texts["Aoi/000.jpg"] == ""
    assert files[-2] not in texts.index
    assert len(data.leakage_inputs().thumbnails) == len(texts)
    with pytest.raises(BadDataError):
        prepared(language=None, on_problem={"missing_description": "fatal"})


@pytest.mark.parametrize("content", [None, b"", b"file;text\na;b\n", b"file,description\na,b,c\n"])
def test_a_folder_without_a_table_of_descriptions_is_refused(prepared, copied, content):
    (copied / "descriptions.csv").unlink()
    if content is not None:
        (copied / "descriptions.csv").write_bytes(content)
    with pytest.raises(SettingError) as refused:
        prepared(language=None)
    assert refused.value.key.endswith("folder")


def test_descriptions_with_names_stop_the_gate_or_are_reported(prepared, copied, tmp_path):
    data = prepared(language="zh", tokenizer=TINY_BERT)
    leaks = data.find_leaks()
    assert leaks.verdicts[WORD] == leaks.verdicts[PIECE] == "clean"
    rows = [(row_id, "brown hair") for row_id in data.samples["id"]]
    rows[0], rows[7] = (rows[0][0], "AOI, brown hair"), (rows[7][0], "棕色头发的小夜")
    rows[9] = (rows[9][0], "the girl from Okinawa")
    write(copied, rows)
    write(copied, [("はるか", "Okinawa"), ("Nobody", "x"), ("Ren", "")], "name,alias", "aliases.csv")
    data = prepared(language=None, tokenizer=None)
    leaks = data.find_leaks()
    assert leaks.verdicts[WORD] == "found" and leaks.verdicts[PIECE] == "unknown"
    names = dict(leaks.findings[["first_id", "second_id"]].to_numpy().tolist())
    assert names == {rows[0][0]: "Aoi", rows[7][0]: "小夜", rows[9][0]: "Okinawa (はるか)"}
    assert listed(data)["unknown_name"] == ["Nobody", "Ren"]
    with pytest.raises(LeakageError):
        data.check(tmp_path)
    entry = prepared(language=None, leakage="report").check(tmp_path)
    assert entry["action"] == "report" and entry["checks"][WORD] == "found"


def test_pieces_are_those_of_the_tokenizer():
    spans = piece_spans(TINY_BERT)
    assert [("brown hAir是", start, end)[0][start:end] for start, end in spans("brown hAir是")] == [
        "brown",
        "hAir",
        "是",
    ]


def test_batches_say_which_rows_have_a_description(prepared, copied):
    table = pd.read_csv(copied / "descriptions.csv")
    table[~table["file"].str.startswith("Aoi")].to_csv(copied / "descriptions.csv", index=False)
    data = prepared(language="en")
    data.configure_inputs(
        {"image": ImageEncoder(image_size=16, mean=(0.5,) * 3, std=(0.5,) * 3), "text": Lengths()}, None
    )
    batches = list(data.eval_dataloader("val"))
    present = torch.cat([batch["text_present"] for batch in batches])
    lengths = torch.cat([batch["text"]["lengths"] for batch in batches]).squeeze(1)
    assert present.tolist() == (data.rows("val")["target"] != "Aoi").tolist()
    assert lengths.tolist() == data.rows("val")["text"].str.len().tolist()


def test_shuffled_descriptions_are_those_of_other_rows_of_the_split(prepared):
    data, shuffled = prepared(language="en"), prepared(language="en", shuffled=True)
    assert data.samples["id"].tolist() == shuffled.samples["id"].tolist() and data.content == shuffled.content
    for split in ("train", "val", "test"):
        first, second = data.rows(split)["text"], shuffled.rows(split)["text"]
        assert sorted(first) == sorted(second) and (first != second).mean() > 0.6
    other = prepared(language="en", shuffled=True, seed=1)
    assert other.rows("train")["text"].tolist() != shuffled.rows("train")["text"].tolist()


def test_new_pictures_are_asked_about_without_descriptions(described, copied):
    data = described(folder=str(copied), classes=NAMES, language="en")
    data.prepare_new([copied / "Aoi"])
    assert len(data.samples) == 12 and set(data.samples["text"]) == {""}
    contents = dict(data.samples[["id", "source"]].to_numpy().tolist())
    fitted = described(folder=str(copied), classes=NAMES, language="en")
    fitted.prepare()
    # A picture is known again, by runs that see it alone as well.
    assert contents[str(copied / "Aoi" / "000.jpg")] in set.union(*map(fitted.row_contents, ("train", "val", "test")))
