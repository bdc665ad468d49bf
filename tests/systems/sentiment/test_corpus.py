"""Files and lists as they come: each fault is named, and treated as configured."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hallmark.checks import SettingError
from hallmark.data.images import read_image
from hallmark.data.problems import BadDataError, Problems
from hallmark.systems.sentiment.corpus import REPAIRABLE, read_corpus
from hostile import NAMES, OUTSIDE, readable, with_exif_rational

CLASSES = ["negative", "neutral", "positive"]


@pytest.fixture
def read(corpus, cache):
    """A function from a policy to the samples of `corpus`, their thumbnails and the problems."""

    def read(policy: dict[str, str]):
        problems = Problems(policy, repairable=REPAIRABLE)
        return *read_corpus(corpus.folder, CLASSES, problems, cache), problems

    return read


def truncate(corpus) -> None:
    path = corpus.picture(corpus.add("truncated"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_picture_at_all(corpus) -> None:
    corpus.picture(corpus.add("junk")).write_bytes(b"<html>not found</html>")


def cmyk(corpus) -> None:
    path = corpus.picture(corpus.add("cmyk"))
    Image.open(path).convert("CMYK").save(path)


def missing_image(corpus) -> None:
    corpus.picture(corpus.add("no-image")).unlink()


def missing_text(corpus) -> None:
    corpus.text(corpus.add("no-text")).unlink()


def empty_text(corpus) -> None:
    corpus.add("empty", text=b"\xef\xbb\xbf \r\n")


def unknown_tag(corpus) -> None:
    corpus.add("odd-tag", tag="angry")


def duplicate_id(corpus) -> None:
    corpus.rows.append((corpus.rows[0][0], "negative"))


def text_in_a_guessed_encoding(corpus) -> None:
    corpus.add("guess", text="Don’t touch my café".encode("cp1252"))


def text_with_nuls(corpus) -> None:
    corpus.add("nuls", text=b"nice\0 day")


def text_that_is_a_pipe(corpus) -> None:
    corpus.text(corpus.add("pipe")).unlink()
    os.mkfifo(corpus.text("pipe"))


def image_that_is_a_pipe(corpus) -> None:
    corpus.picture(corpus.add("pipe")).unlink()
    os.mkfifo(corpus.picture("pipe"))


def image_that_is_a_folder(corpus) -> None:
    corpus.picture(corpus.add("folder")).unlink()
    corpus.picture("folder").mkdir()


def metadata_that_cannot_be_written(corpus) -> None:
    path = corpus.picture(corpus.add("exif"))
    path.write_bytes(with_exif_rational(path.read_bytes(), -1, 0))


def no_id(corpus) -> None:
    corpus.rows.append(("", "positive"))


FAULTS = {
    "unreadable_image": (truncate, "truncated"), "unreadable_image ": (no_picture_at_all, "junk"),
    "cmyk_image": (cmyk, "cmyk"), "missing_image": (missing_image, "no-image"), "empty_text": (empty_text, "empty"),
    "missing_text": (missing_text, "no-text"), "unknown_tag": (unknown_tag, "odd-tag"),
    "duplicate_id": (duplicate_id, "r0"), "uncertain_encoding": (text_in_a_guessed_encoding, "guess"),
    "uncertain_encoding ": (text_with_nuls, "nuls"), "unreadable_text": (text_that_is_a_pipe, "pipe"),
    "unreadable_image  ": (image_that_is_a_pipe, "pipe"), "unreadable_image   ": (image_that_is_a_folder, "folder"),
    "damaged_metadata": (metadata_that_cannot_be_written, "exif"), "empty_id": (no_id, ""),
}  # fmt: skip
CASES = [
    (kind.strip(), damage, row_id, action)
    for kind, (damage, row_id) in FAULTS.items()
    for action in ("fatal", "skip", "keep")
    if action != "keep" or kind.strip() in REPAIRABLE
]


@pytest.mark.parametrize(("kind", "damage", "row_id", "action"), CASES)
def test_a_fault_is_listed_by_name_and_treated_as_configured(corpus, read, policy, kind, damage, row_id, action):
    for number in range(3):
        corpus.add(f"r{number}")
    damage(corpus)
    corpus.write_list()
    samples, thumbnails, problems = read({**policy, kind: action})
    (listed,) = problems.table().to_dict("records")
    assert (listed["id"], listed["kind"], listed["policy"]) == (row_id, kind, action)
    assert row_id in listed["detail"]
    assert len(samples) == len(thumbnails)
    if action == "fatal":
        with pytest.raises(BadDataError, match=row_id or "no guid") as error:
            problems.raise_if_fatal()
        assert f"data.on_problem.{kind}=skip" in str(error.value)
        return
    problems.raise_if_fatal()
    expected = {"r0", "r1", "r2"} | ({row_id} if action == "keep" else set())
    assert sorted(samples["id"]) == sorted(expected)


def test_kept_faults_become_what_can_be_trained_on(corpus, read, policy):
    corpus.add("whole")
    for damage in (truncate, cmyk, missing_image, missing_text, empty_text):
        damage(corpus)
    corpus.write_list()
    samples, thumbnails, _ = read({**policy, **dict.fromkeys(REPAIRABLE, "keep")})
    rows = samples.set_index("id")
    assert rows.loc[["no-text", "empty"], "text"].tolist() == ["", ""]
    assert rows.loc[["truncated", "no-image"], "image_digest"].tolist() == ["", ""]
    assert rows.loc[["truncated", "no-image"], "slice_image_size"].tolist() == ["unreadable"] * 2
    assert rows.loc["whole", "slice_image_size"] == "under 128 px"
    converted = np.asarray(read_image(corpus.picture("cmyk")), dtype=float)
    thumbnail = np.asarray(
        Image.fromarray(thumbnails[samples.index[samples["id"] == "cmyk"][0]]).resize((80, 60)), float
    )
    assert np.abs(converted.mean(axis=(0, 1)) - thumbnail.mean(axis=(0, 1))).max() < 4
    assert samples["group"].nunique() == len(samples)  # an empty text and a picture that nobody can see link nothing


def test_a_picture_with_damaged_metadata_is_upright_and_listed(corpus, read, policy):
    metadata_that_cannot_be_written(corpus)
    corpus.write_list()
    samples, thumbnails, problems = read(policy)
    assert [(problem.id, problem.kind) for problem in problems.found] == [("exif", "damaged_metadata")]
    assert read_image(corpus.picture("exif")).size == (60, 80)
    expected = read_image(corpus.picture("exif")).resize((32, 32), Image.Resampling.BOX)
    assert np.abs(thumbnails[0].astype(int) - np.asarray(expected)).max() < 10
    assert samples["id"].tolist() == ["exif"]


def test_a_corpus_with_utf16_tweets_is_read_as_it_was_written(corpus, read, policy):
    texts = {f"u{number}": f"what a lovely day number {number}" for number in range(6)}
    for number, (row_id, text) in enumerate(texts.items()):
        corpus.add(row_id, text=text.encode(["utf-16", "utf-16-le", "utf-16-be"][number % 3]))
    corpus.write_list()
    samples, _, problems = read(policy)
    assert samples.set_index("id")["text"].to_dict() == texts
    assert problems.found == []


def test_one_reading_of_two_is_doubted_beside_files_that_have_the_other(corpus, read, policy):
    corpus.add("laugh", text="(笑)".encode("gb18030"))
    corpus.write_list()
    assert read(policy)[2].found == []
    corpus.add("gb", text="今天很开心".encode("gb18030"))
    corpus.write_list()
    assert [(problem.id, problem.kind) for problem in read(policy)[2].found] == [("laugh", "uncertain_encoding")]


LISTS = {
    "a short row": (b"guid,tag\nr0,positive\nr1\n", r"train\.txt, line 3: expected 2 fields"),
    "a long row": (b"guid,tag\nr0,positive,sure\n", r"train\.txt, line 2: expected 2 fields"),
    "a blank row": (b"guid,tag\n\nr0,positive\n", r"train\.txt, line 2: .*a blank line"),
    "semicolons": (b"guid;tag\nr0;positive\n", r"train\.txt: .*separated by commas; found semicolons"),
    "no header": (b"r0,positive\n", r"train\.txt: needs the columns guid and tag; found r0, positive"),
    "nothing": (b"", r"train\.txt, line 1: expected the names of the columns"),
}


@pytest.mark.parametrize(("raw", "message"), LISTS.values(), ids=LISTS)
def test_a_list_that_is_no_table_is_named_with_its_line(corpus, read, policy, raw, message):
    corpus.add("r0")
    (corpus.folder / "train.txt").write_bytes(raw)
    with pytest.raises(ValueError, match=message):
        read(policy)


def test_texts_in_two_encodings(corpus, read, policy):
    corpus.add("utf8", text="ein schöner Tag 🎉")
    corpus.add("bom", text="\ufeffnice day")
    corpus.add("gb", text="今天天气很好 great".encode("gb18030"))
    corpus.write_list()
    samples, _, problems = read(policy)
    assert samples.set_index("id")["text"].to_dict() == {
        "utf8": "ein schöner Tag 🎉",
        "bom": "nice day",
        "gb": "今天天气很好 great",
    }
    assert problems.found == []


LAYOUTS = {
    "byte-order mark": {"start": b"\xef\xbb\xbf"},
    "Windows lines": {"end": "\r\n"},
    "both": {"start": b"\xef\xbb\xbf", "end": "\r\n"},
    "spaces and capitals": {"head": " GUID , Tag"},
    "another column": {"head": "guid,tag,annotator"},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_list_of_labels_in_any_dress(corpus, read, policy, layout):
    corpus.add("1", "positive")
    corpus.add("007", " negative ")
    corpus.add("3", "null")
    if "annotator" in layout.get("head", ""):
        corpus.rows = [(*row, "A") for row in corpus.rows]
    corpus.write_list(**layout)
    samples, _, _ = read(policy)
    tags = dict(zip(samples["id"], samples["target"], strict=True))
    assert tags.keys() == {"1", "007", "3"}
    assert (tags["1"], tags["007"]) == ("positive", "negative")
    assert not isinstance(tags["3"], str)


def test_unlabelled_rows_come_without_their_tags(corpus, read, policy):
    for number in range(4):
        corpus.add(f"r{number}")
    corpus.write_list()
    (corpus.folder / "test_without_label.txt").write_text("guid,tag\nx,null\ny,positive\n")
    for row_id in "xy":
        corpus.add(row_id)
    samples, _, _ = read(policy)
    assert samples.set_index("id")["target"].isna().to_dict() == dict(
        zip(["r0", "r1", "r2", "r3", "x", "y"], [False] * 4 + [True] * 2, strict=True)
    )


def test_the_slices_of_a_row(corpus, read, policy):
    texts = {
        "none": "",
        "five": "a b c d e",
        "six": "a b c d e f",
        "long": "w " * 16,
        "party": "🎉🎉 yes",
        "one": "ok 👍",
    }
    for row_id, text in texts.items():
        corpus.add(row_id, text=text)
    corpus.write_list()
    for side, row_id in ((127, "none"), (128, "five"), (255, "six"), (256, "long"), (512, "party")):
        Image.new("RGB", (600, side), (side % 256, 0, 99)).save(corpus.picture(row_id))
    rows = read(policy)[0].set_index("id")
    assert rows["slice_text_length"].to_dict() == {
        "none": "0 words", "five": "1-5 words", "six": "6-10 words", "long": "16+ words", "party": "1-5 words",
        "one": "1-5 words",
    }  # fmt: skip
    assert rows.loc[["none", "one", "party"], "slice_emoji"].tolist() == ["no emoji", "1 emoji", "2+ emoji"]
    sizes = ["under 128 px", "128-255 px", "128-255 px", "256-511 px", "512+ px"]
    assert rows.loc[["none", "five", "six", "long", "party"], "slice_image_size"].tolist() == sizes


def groups(samples) -> set[frozenset[str]]:
    groups = samples.groupby("group")["id"].agg(frozenset)
    return {members for members in groups if len(members) > 1}


def test_groups_join_what_is_the_same(corpus, read, policy):
    for row_id in ("tweet", "shown", "photo", "chained", "alone"):
        corpus.add(row_id)
    corpus.add("retweet", text="RT @friend: THIS is Tweet number tweet!!  https://t.co/x")
    corpus.add("copied")
    corpus.picture("copied").write_bytes(corpus.picture("shown").read_bytes())
    corpus.add("larger")
    Image.open(corpus.picture("photo")).resize((120, 90)).save(corpus.picture("larger"), quality=60)
    corpus.add("link", text="this is tweet number chained")  # the text of one row and the picture of another
    corpus.picture("link").write_bytes(corpus.picture("alone").read_bytes())
    corpus.write_list()
    assert groups(read(policy)[0]) == {
        frozenset({"tweet", "retweet"}),
        frozenset({"shown", "copied"}),
        frozenset({"photo", "larger"}),
        frozenset({"chained", "link", "alone"}),
    }


def test_what_a_sample_is_made_of_is_its_content(corpus, read, policy):
    for row_id in ("a", "b", "c"):
        corpus.add(row_id)
    corpus.write_list()
    before = read(policy)[0].set_index("id")["content"]
    corpus.text("a").write_text("another text")
    corpus.picture("b").write_bytes(corpus.picture("b").read_bytes() + b"\0")
    after = read(policy)[0].set_index("id")["content"]
    assert (before != after).to_dict() == {"a": True, "b": True, "c": False}


def test_no_corpus_at_all(cache, policy, tmp_path):
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ValueError, match=r"folder='.*': expected a folder with train\.txt .* is missing"):
            read_corpus(Path(folder), CLASSES, Problems(policy, repairable=REPAIRABLE), cache)


def test_ids_and_links_that_lead_out_of_the_corpus_are_listed_and_not_read(corpus, read, policy):
    corpus.add("good")
    for folder_of_file in (corpus.folder, corpus.folder.parent):
        (folder_of_file / f"{OUTSIDE}.txt").write_text("secret")
        shutil.copy(corpus.picture("good"), folder_of_file / f"{OUTSIDE}.jpg")
    linked = [(corpus.text(corpus.add("text")), ".txt"), (corpus.picture(corpus.add("picture")), ".jpg")]
    for path, suffix in linked:
        path.unlink()
        path.symlink_to(corpus.folder.parent / f"{OUTSIDE}{suffix}")
    corpus.rows += [(f'"{name}"', "positive") for name in NAMES.values()]
    corpus.write_list()
    samples, _, problems = read(policy)
    assert samples["id"].tolist() == ["good"]
    assert problems.counts() == {"unsafe_path": len(NAMES) + 2, "uncertain_encoding": 1}  # of the list, with its NUL
    details = [problem.detail for problem in problems.found]
    assert all(f"data/{name}: a link that leads out" in " ".join(details) for name in ("text.txt", "picture.jpg"))
    assert readable(problems.found)


@pytest.mark.parametrize("name", ["train.txt", "test_without_label.txt"])
def test_a_list_that_is_a_link_out_of_the_corpus_is_not_read(corpus, read, policy, name):
    corpus.add("a")
    corpus.write_list()
    (corpus.folder.parent / OUTSIDE).write_text("guid,tag\na,positive\n")
    (corpus.folder / name).unlink(missing_ok=True)
    (corpus.folder / name).symlink_to(corpus.folder.parent / OUTSIDE)
    with pytest.raises(SettingError, match="a link that leads out of"):
        read(policy)
