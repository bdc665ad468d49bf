import io
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from hallmark.checks import SettingError
from hallmark.data.masks import decode, encode, rle_from_text
from hallmark.data.problems import BadDataError, Problems
from hallmark.storage.hashing import digest_bytes
from hallmark.systems.refseg import sources
from hallmark.systems.refseg.corpus import KINDS, REPAIRABLE, ExpressionCorpus, read_corpus, size_bucket
from hallmark.systems.refseg.sample.world import generate
from hostile import NAMES, OUTSIDE, readable, with_exif_rational

H, W = 20, 30
MASK = pa.struct({"counts": pa.string(), "size": pa.list_(pa.int32())})
# The published schema of moondream/refcoco-m.
SAMPLE = pa.struct({
    "id": pa.int64(), "image_id": pa.int64(), "category": pa.string(), "supercategory": pa.string(),
    "label": pa.string(), "sentences": pa.list_(pa.string()), "bbox": pa.list_(pa.float32()), "mask": MASK,
})  # fmt: skip
REFCOCO_M = pa.schema({
    "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}), "image_id": pa.int64(),
    "file_name": pa.string(), "samples": pa.list_(SAMPLE),
})  # fmt: skip


def mask(rows: int, columns: int, size=(H, W)) -> np.ndarray:
    """Filled from the corner."""
    pixels = np.zeros(size, bool)
    pixels[:rows, :columns] = True
    return pixels


def rle(array: np.ndarray) -> dict:
    return dict(encode(array[None])[0])


def png(seed: int, size=(H, W)) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()


def sample(number: int, *sentences, array: np.ndarray | None = None, **changed) -> dict:
    array = mask(4, 6) if array is None else array
    return {
        "id": number, "image_id": number // 10, "category": "dog", "supercategory": "animal", "label": "a dog",
        "sentences": list(sentences or (f"dog {number}",)), "bbox": [0.0, 0.0, 6.0, 4.0], "mask": rle(array), **changed,
    }  # fmt: skip


def record(number: int, *samples: dict, content: bytes | None = None) -> dict:
    name = f"COCO_{number}.png"
    image = {"bytes": png(number) if content is None else content, "path": name}
    return {"image": image, "image_id": number, "file_name": name, "samples": list(samples or [sample(10 * number)])}


def write(path: Path, *records: dict, schema: pa.Schema = REFCOCO_M, rows: int = 2) -> str:
    pq.write_table(pa.Table.from_pylist(list(records), schema), path, row_group_size=rows)
    return str(path)


@pytest.fixture
def read(tmp_path):
    """A function from a source to its corpus and what was wrong with it."""

    def read(source, **policies) -> tuple[ExpressionCorpus, Problems]:
        problems = Problems(dict.fromkeys(KINDS, "skip") | policies, repairable=REPAIRABLE)
        return read_corpus(str(source), problems, tmp_path / "cache"), problems

    return read


def test_every_pair_of_the_published_schema_is_a_row(tmp_path, read):
    large, medium = mask(20, 20), mask(5, 6)
    file = write(
        tmp_path / "validation-00000-of-00001.parquet",
        record(1, sample(10, "the dog", "dog on left"), sample(11, "Grass ", array=large, category="grass")),
        record(2, sample(20, array=medium)),
        record(3, sample(30, array=mask(1, 1))),
    )
    corpus, problems = read(file)
    rows = corpus.samples
    assert not problems.found
    assert rows["id"].tolist() == ["10#0", "10#1", "11#0", "20#0", "30#0"]
    assert rows["group"].tolist() == ["1", "1", "1", "2", "3"]
    assert rows["sentence"].tolist() == ["the dog", "dog on left", "Grass", "dog 20", "dog 30"]
    assert rows["slice_category"].tolist() == ["dog", "dog", "grass", "dog", "dog"]
    assert rows["slice_size"].tolist() == ["small", "small", "large", "medium", "small"]
    assert rows["info_area"].tolist() == pytest.approx([0.04, 0.04, 400 / 600, 0.05, 1 / 600])
    assert (decode([rle_from_text(rows["target"][2])], (H, W))[0] == large).all()
    assert corpus.images[["height", "width"]].to_numpy().tolist() == [[H, W]] * 3
    assert rows["image_digest"].tolist()[3] == digest_bytes(png(2)) == corpus.images["digest"][1]
    assert rows["content"].nunique() == 5
    assert corpus.thumbnails.shape == (3, 32, 32, 3) and corpus.thumbnails[0].std() > 10
    assert corpus.slice_categories() == {
        "slice_size": ["no target", "small", "medium", "large"], "slice_category": ["dog", "grass"],
    }  # fmt: skip
    for position, number in ((2, 3), (0, 1), (1, 2)):
        picture = np.asarray(Image.open(io.BytesIO(png(number))))
        assert (corpus.pictures.read(position) == picture).all()


@pytest.mark.parametrize(
    ("share", "bucket"),
    [(0, "no target"), (1e-6, "small"), (0.0499, "small"), (0.05, "medium"), (0.2, "medium"), (0.2001, "large")],
)
def test_size_buckets(share, bucket):
    assert size_bucket(share) == bucket


def test_sentences_as_structs_and_images_as_bytes(tmp_path, read):
    structs = pa.list_(pa.struct({"sent": pa.string(), "raw": pa.string()}))
    fields = [pa.field("sentences", structs) if field.name == "sentences" else field for field in SAMPLE]
    schema = REFCOCO_M.set(3, pa.field("samples", pa.list_(pa.struct(fields)))).set(0, pa.field("image", pa.binary()))
    spoken = [{"sent": "left dog", "raw": "Left dog!"}, {"sent": None, "raw": "Big dog"}]
    plain = record(1, sample(10, *spoken))
    corpus, problems = read(write(tmp_path / "x.parquet", plain | {"image": plain["image"]["bytes"]}, schema=schema))
    assert not problems.found
    assert corpus.samples["sentence"].tolist() == ["left dog", "Big dog"]


def test_images_beside_a_parquet_file(tmp_path, read):
    (tmp_path / "COCO_1.png").write_bytes(png(1))
    there, missing = record(1), record(2)
    there["image"]["bytes"] = missing["image"]["bytes"] = None
    corpus, problems = read(write(tmp_path / "x.parquet", there, missing))
    assert corpus.samples["id"].tolist() == ["10#0"]
    assert problems.counts() == {"unreadable_image": 1}


def test_problems_by_kind(tmp_path, read):
    none, other = mask(0, 0), mask(3, 3, (H, W + 1))
    damaged = {"counts": "PPPPP", "size": [H, W]}
    file = write(
        tmp_path / "x.parquet",
        record(1, sample(10), sample(10, "again"), sample(11, "", "good"), sample(12, array=other)),
        record(2, sample(20, array=none), sample(21, mask=damaged), sample(22, sentences=[])),
        record(3, content=b"not an image"),
        record(4, content=png(4)[:200]),
    )
    corpus, problems = read(file)
    assert corpus.samples["id"].tolist() == ["10#0", "11#1"]
    reported = {(problem.kind, problem.id) for problem in problems.found}
    assert reported == {
        ("duplicate_id", "10"), ("empty_sentence", "11#0"), ("mask_size", "12"), ("empty_mask", "20"),
        ("damaged_mask", "21"), ("empty_sentence", "22#0"), ("unreadable_image", "3"), ("unreadable_image", "4"),
    }  # fmt: skip
    details = " ".join(problem.detail for problem in problems.found)
    assert "COCO_1.png (image 1), sample 12: the mask has 20×31 pixels, the image 20×30" in details
    assert "truncated" in details and "cannot identify" in details
    again, problems = read(file, mask_size="fatal", empty_mask="keep")
    assert again.samples["id"].tolist() == ["10#0", "11#1", "20#0"]
    assert again.samples["slice_size"].tolist()[-1] == "no target"
    with pytest.raises(BadDataError, match="mask_size"):
        problems.raise_if_fatal()


def test_a_folder_of_lines_and_images(tmp_path, read):
    (tmp_path / "images").mkdir()
    lines = []
    for number in (1, 2):
        (tmp_path / ("images" if number == 1 else ".") / f"COCO_{number}.png").write_bytes(png(number))
        lines.append(json.dumps({key: value for key, value in record(number).items() if key != "image"}))
    (tmp_path / "annotations.jsonl").write_text("\n".join([*lines, ""]))
    corpus, problems = read(tmp_path)
    assert not problems.found
    parquet, _ = read(write(tmp_path / "same.parquet", record(1), record(2)))
    assert corpus.samples.drop(columns="image").equals(parquet.samples.drop(columns="image"))
    assert (corpus.thumbnails == parquet.thumbnails).all()


RECORDS = {
    "no JSON": "{",
    "no object": "[1, 2]",
    "no samples": '{"image_id": 9, "file_name": "a.png"}',
    "samples of another kind": '{"image_id": 9, "file_name": "a.png", "samples": "x"}',
    "a name of another kind": '{"image_id": 9, "file_name": 5, "samples": []}',
    "a thousand brackets": "[" * 100_000,
}
SAMPLES = {
    "no id": '{"sentences": ["a"], "mask": null}',
    "no object": "7",
    "sentences that are one text": '{"id": 1, "sentences": "the cup", "mask": null}',
    "a sentence that is a number": '{"id": 1, "sentences": [7], "mask": null}',
}
MASKS = {
    "infinite": '{"size": [1e999, 30], "counts": [600]}',
    "beyond any integer": '{"size": [20, 30], "counts": [99999999999999999999999]}',
    "runs that wrap around": '{"size": [20, 30], "counts": [4611686018427387904, 4611686018427387904, '
    "4611686018427387904, 4611686018427387904, 600]}",
    "words": '{"size": [20, 30], "counts": ["a"]}',
    "no object": "5",
}


def _line(samples: str) -> str:
    return f'{{"image_id": 8, "file_name": "a.png", "samples": [{samples}]}}'


DAMAGED = {
    **{f"record: {name}": (line, "damaged_record") for name, line in RECORDS.items()},
    **{f"sample: {name}": (_line(text), "damaged_record") for name, text in SAMPLES.items()},
    **{f"mask: {name}": (_line(f'{{"id": 1, "sentences": ["a"], "mask": {text}}}'), "damaged_mask")
       for name, text in MASKS.items()},
}  # fmt: skip


@pytest.mark.parametrize(("line", "kind"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_record_is_listed_and_the_others_are_read(tmp_path, read, line, kind):
    (tmp_path / "a.png").write_bytes(png(1))
    good = '{"image_id": 1, "file_name": "a.png", "samples": [{"id": "good", "sentences": ["a cup"], "mask": null}]}'
    (tmp_path / "annotations.jsonl").write_text(f"{line}\n{good}\n")
    corpus, problems = read(tmp_path)
    assert corpus.samples["id"].tolist() == ["good#0"]
    assert problems.counts() == {kind: 1}
    assert "a.png" in problems.found[0].detail or "annotations.jsonl, line 1" in problems.found[0].detail
    assert len(problems.found[0].detail) < 600


def test_lines_and_lists_in_other_encodings_and_of_other_make(tmp_path, read):
    (tmp_path / "a.png").write_bytes(png(1))
    listed = tmp_path / "expressions.csv"
    listed.write_bytes("image,expression\na.png,the cup\n".encode("utf-16"))
    assert read(tmp_path)[0].samples["sentence"].tolist() == ["the cup"]
    listed.write_bytes("image,expression\na.png,le café\n".encode("cp1252"))
    corpus, problems = read(tmp_path)
    assert corpus.samples["sentence"].tolist() == ["le café"]
    assert [problem.kind for problem in problems.found] == ["uncertain_encoding"]
    for raw, message in ((b"image,expression\na.png,the cup,left\n", "line 2: expected 2 fields"),
                         (b"image;expression\na.png;the cup\n", "found semicolons")):  # fmt: skip
        listed.write_bytes(raw)
        with pytest.raises(ValueError, match=rf"expressions\.csv.*{message}"):
            read(tmp_path)
    text = '{"image_id": 1, "file_name": "a.png", "samples": [{"id": 1, "sentences": ["a\u2028b"], "mask": null}]}'
    (tmp_path / "annotations.jsonl").write_text(text, encoding="utf-8")
    assert read(tmp_path)[0].samples["sentence"].tolist() == ["a\u2028b"]


def test_pictures_that_cannot_be_read_are_listed_and_one_with_damaged_metadata_is_used(tmp_path, read):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "text.png").write_text("no picture")
    Image.new("RGB", (40, 20)).save(tmp_path / "exif.jpg")
    (tmp_path / "exif.jpg").write_bytes(with_exif_rational((tmp_path / "exif.jpg").read_bytes(), -1, 0))
    names = ["pipe.png", "folder.png", "text.png", "exif.jpg"]
    (tmp_path / "expressions.csv").write_text("\n".join(["image,expression", *(f"{name},it" for name in names)]))
    corpus, problems = read(tmp_path, damaged_metadata="keep")
    assert {(problem.id, problem.kind) for problem in problems.found} == {
        ("pipe.png", "unreadable_image"), ("folder.png", "unreadable_image"), ("text.png", "unreadable_image"),
        ("exif.jpg", "damaged_metadata"),
    }  # fmt: skip
    assert corpus.samples["group"].tolist() == ["exif.jpg"]
    assert corpus.pictures.read(3).shape == (40, 20, 3)
    (tmp_path / "exif.jpg").unlink()
    with pytest.raises(OSError, match=r"exif\.jpg"):
        corpus.pictures.read(3)


def test_damage_within_a_parquet_file_costs_the_rows_behind_it(tmp_path, read):
    file = Path(write(tmp_path / "x.parquet", *(record(number) for number in range(1, 41))))
    raw = bytearray(file.read_bytes())
    offset = raw.index(png(30)[60:100])  # behind the header of its page
    raw[offset - 120 : offset] = bytes(120)
    file.write_bytes(raw)
    corpus, problems = read(file)
    assert len(corpus.samples) + problems.counts()["unreadable_image"] == 40
    assert len(corpus.samples) >= 16
    file.write_bytes(raw[:100])
    with pytest.raises(SettingError, match=r"x\.parquet.*no parquet file"):
        read(file)


def test_own_pictures_have_no_truth(tmp_path, read):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(png(ord(name[0])))
    lines = [
        "image,expression",
        "a.png,the cup",
        'b.png,"left, of the cup"',
        "a.png,the spoon",
        "c.png,nothing",
        "b.png,",
    ]
    (tmp_path / "expressions.csv").write_text("\n".join(lines))
    corpus, problems = read(tmp_path)
    rows = corpus.samples
    assert list(zip(rows["group"], rows["sentence"], strict=True)) == [
        ("a.png", "the cup"), ("a.png", "the spoon"), ("b.png", "left, of the cup"),
    ]  # fmt: skip
    assert rows["target"].isna().all() and rows["slice_size"].isna().all()
    assert problems.counts() == {"empty_sentence": 1, "unreadable_image": 1}
    (tmp_path / "expressions.csv").write_text("picture,text\n")
    with pytest.raises(ValueError, match="needs the columns image and expression; found picture, text"):
        read(tmp_path)


def test_a_folder_of_parquet_files_reads_groups_when_asked(tmp_path, read, monkeypatch):
    (tmp_path / "data").mkdir()
    for part in range(2):
        numbers = range(1 + 5 * part, 6 + 5 * part)
        write(tmp_path / "data" / f"validation-{part}.parquet", *(record(number) for number in numbers))
    corpus, _ = read(tmp_path)
    assert corpus.samples["group"].tolist() == [str(number) for number in range(1, 11)]
    calls, opened = [], pq.ParquetFile.read_row_group
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda *a, **k: calls.append(1) or opened(*a, **k))
    pictures = pickle.loads(pickle.dumps(corpus.pictures))
    for position in range(10):
        assert pictures.content(position) == png(position + 1)
    assert len(calls) == 6  # of two rows each; the last of a file has one
    assert len(pictures._held[1]) == 1


def test_a_damaged_group_loses_no_image_before_the_damage_and_is_read_once(tmp_path, read, monkeypatch):
    schema = REFCOCO_M.set(REFCOCO_M.get_field_index("image"), pa.field("image", pa.binary()))
    records = [{**record(number), "image": png(number)} for number in range(1, 7)]
    table, path = pa.Table.from_pylist(records, schema), tmp_path / "x.parquet"
    # A page an image, so that one of them can be damaged alone.
    pq.write_table(
        table, path, row_group_size=6, data_page_size=1, write_batch_size=1, use_dictionary=False,
        compression="none",
    )  # fmt: skip
    content = path.read_bytes()
    at = content.index(png(4)[:60]) - 20  # the header of the fourth page
    path.write_bytes(content[:at] + bytes(20) + content[at + 20 :])
    reads, opened = [], pq.ParquetFile.read_row_group
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda *a, **k: reads.append(1) or opened(*a, **k))
    pictures = sources.ParquetPictures([path])
    contents = list(pictures.contents())
    assert contents == [*(png(number) for number in (1, 2, 3)), None, None, None]
    assert len(reads) == 1


def test_images_are_looked_at_once_in_their_life(tmp_path, read, monkeypatch):
    file = write(tmp_path / "x.parquet", record(1), record(2))
    first, _ = read(file)
    monkeypatch.setattr("hallmark.systems.refseg.corpus.read_image", None)
    again, _ = read(file)
    assert again.samples.equals(first.samples)


def test_content_says_what_a_row_is_made_of(tmp_path, read):
    base, _ = read(write(tmp_path / "a.parquet", record(1, sample(10, "a", "b")), record(2)))
    changed, _ = read(write(tmp_path / "b.parquet", record(1, sample(10, "a", "c")), record(2, content=png(9))))
    assert (base.samples["content"] == changed.samples["content"]).tolist() == [True, False, False]
    other, _ = read(write(tmp_path / "c.parquet", record(1, sample(10, "a", "b", array=mask(9, 9))), record(2)))
    assert (base.samples["content"] == other.samples["content"]).tolist() == [False, False, True]


def test_by_name_on_the_hub(tmp_path, read, monkeypatch):
    write(tmp_path / "validation.parquet", record(1))
    requests = []

    def download(name, **arguments):
        requests.append((name, arguments))
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    corpus, _ = read("moondream/refcoco-m")
    assert len(corpus.samples) == 1
    assert requests == [("moondream/refcoco-m", {"repo_type": "dataset", "allow_patterns": ["*.parquet"]})]


def test_what_to_do_without_the_data_set(tmp_path, read, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        SettingError, match=r"source='moondream/refcoco-m': expected .* Hugging Face cache .* profile=sample"
    ):
        read("moondream/refcoco-m")


@pytest.mark.parametrize("name", ["nothing/here.parquet", "./nothing", "/nothing", "a/b/c"])
def test_no_such_path(read, name):
    with pytest.raises(SettingError, match="there is nothing of that name here"):
        read(name)


def test_another_layout(tmp_path, read):
    with pytest.raises(SettingError, match="it has neither"):
        read(tmp_path)
    pq.write_table(pa.table({"image": [b""], "text": ["x"]}), tmp_path / "x.parquet")
    with pytest.raises(SettingError, match="it lacks the columns image_id, file_name, samples"):
        read(tmp_path / "x.parquet")


def test_an_empty_file(tmp_path, read):
    corpus, problems = read(write(tmp_path / "x.parquet"))
    assert (len(corpus.samples), len(corpus.images), problems.found) == (0, 0, [])


def test_the_sample_world(tmp_path, read):
    folder = generate(tmp_path / "world", train=4, val=2, test=3, seed=1, synonyms=1.0)
    corpus, problems = read(folder)
    rows = corpus.samples
    assert not problems.found
    record = json.loads((folder / "sample.json").read_text())
    kinds = {key: count for key, count in record["counts"].items() if not key.endswith(("_images", "_held_out"))}
    assert len(rows) == sum(kinds.values())
    assert set(rows["own_split"]) == {"train", "val", "test"}
    assert (rows.groupby("own_split")["slice_words"].unique().map(list)["train"]) == ["known words"]
    assert set(rows.loc[rows["slice_kind"] == "no_target", "slice_size"]) == {"no target"}
    assert rows.loc[rows["slice_kind"] == "relation", "shuffled"].notna().any()
    controls = rows["shuffled_target"].dropna()
    assert controls.map(lambda text: rle_from_text(text)["size"] == [96, 96]).all()
    assert all(corpus.images["objects"].map(len) >= 3)
    assert sources.ParquetPictures([folder / "test.parquet"]).read(0).shape == (96, 96, 3)


def outside_and_links(folder: Path) -> None:
    """A good picture in `folder`, one beside it, and a link from the one to the other."""
    folder.mkdir()
    (folder / "good.png").write_bytes(png(1))
    (folder.parent / OUTSIDE).write_bytes(png(2))
    (folder / "link.png").symlink_to(folder.parent / OUTSIDE)


def refused(problems: Problems) -> list[str]:
    assert readable(problems.found)
    # The list itself is of uncertain encoding, for the NUL in it.
    assert {problem.kind for problem in problems.found} - {"uncertain_encoding"} == {"unsafe_path"}
    return [problem.id for problem in problems.found if problem.kind == "unsafe_path"]


def test_names_and_links_in_a_list_of_annotations_that_lead_out_of_the_folder(tmp_path, read):
    outside_and_links(tmp_path / "world")
    names = [*NAMES.values(), "a\ud800b", "link.png", "good.png"]
    records = [{"image_id": f"image {number}", "file_name": name, "samples": [sample(number)]}
               for number, name in enumerate(names)]  # fmt: skip
    records += [{"image_id": name, "file_name": "good.png", "samples": [sample(100 + number)]}
                for number, name in enumerate(names[:-2])]  # fmt: skip
    more = [sample(200), *(sample(0) | {"id": name} for name in names[:-2])]
    records.append({"image_id": "many", "file_name": "good.png", "samples": more})
    (tmp_path / "world" / "annotations.jsonl").write_text("\n".join(map(json.dumps, records)))
    corpus, problems = read(tmp_path / "world")
    assert corpus.samples["id"].tolist() == [f"{len(names) - 1}#0", "200#0"]
    assert len(refused(problems)) == len(names) - 1 + 2 * (len(names) - 2)
    assert [corpus.images["digest"][position] for position in range(len(names) - 1)] == [""] * (len(names) - 1)


def test_names_in_a_list_of_expressions_that_lead_out_of_the_folder(tmp_path, read):
    outside_and_links(tmp_path / "own")
    names = [*NAMES.values(), "link.png", "good.png"]
    rows = pd.DataFrame({"image": names, "expression": "the dog"})
    rows.to_csv(tmp_path / "own" / "expressions.csv", index=False)
    corpus, problems = read(tmp_path / "own")
    assert corpus.samples["id"].tolist() == ["good.png#0"] and len(refused(problems)) == len(names) - 1


def test_paths_in_a_parquet_file_that_lead_out_of_its_folder(tmp_path, read):
    outside_and_links(tmp_path / "world")
    names = [*NAMES.values(), "link.png", "good.png"]
    records = [record(number) for number in range(len(names))]
    for entry, name in zip(records, names, strict=True):
        entry["image"] |= {"bytes": None, "path": name}
    corpus, problems = read(write(tmp_path / "world" / "x.parquet", *records, rows=5))
    assert corpus.samples["group"].tolist() == [str(len(names) - 1)] and len(refused(problems)) == len(names) - 1


@pytest.mark.parametrize("name", ["annotations.jsonl", "expressions.csv"])
def test_a_list_that_is_a_link_out_of_the_folder_is_not_read(tmp_path, read, name):
    (tmp_path / "world").mkdir()
    (tmp_path / OUTSIDE).write_text("image,expression\na.png,the dog\n")
    (tmp_path / "world" / name).symlink_to(tmp_path / OUTSIDE)
    with pytest.raises(SettingError, match="a link that leads out of"):
        read(tmp_path / "world")
