from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from hallmark.checks import SettingError
from hallmark.data.masks import Proposals, encode
from hallmark.systems.refseg.ranker.encoder import RegionEncoder
from hallmark.systems.refseg.ranker.position import position_bias
from hallmark.systems.refseg.ranker.ranker import Ranker, SceneInput
from hallmark.systems.refseg.ranker.views import Regions, View, geometry

SIZE = (12, 16)


class Colours(RegionEncoder):
    """Mean colours of regions against the names of colours; `joint` ones are seen relative to their image's mean."""

    scale, embedding_dim = 10.0, 3

    def __init__(self, *, joint: bool = False, abstains: bool = False, tint: float = 0.0) -> None:
        super().__init__()
        self.joint, self.view, self.tint = joint, View(kind="crop", size=4, padding=0), tint
        self.register_buffer("none", normalize(torch.ones(3), dim=0) if abstains else None)
        self.weight = torch.nn.Parameter(torch.eye(3))
        self.seen: list[list[int]] = []
        self.read: list[list[str]] = []
        self.eval()

    def settings(self) -> dict[str, Any]:
        return {"joint": self.joint, "tint": self.tint, "view": self.view.settings()}

    def text_settings(self) -> dict:
        return {}

    def embed_regions(self, regions: Regions) -> Tensor:
        assert not torch.is_grad_enabled() and len(regions)
        self.seen.append(regions.image.tolist())
        colors = torch.from_numpy(regions.pixels).float().mean((2, 3)) @ self.weight + 1 + self.tint
        if self.joint:
            image = torch.from_numpy(regions.image)
            colors = colors + torch.stack([colors[image == number].mean(0) for number in image])
        return normalize(colors, dim=-1)

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        self.read.append(list(texts))
        return torch.stack([torch.tensor([float(name in text) for name in ("red", "green", "blue")]) for text in texts])


def pictured(seed: int, count: int) -> SceneInput:
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, *SIZE), bool)
    for mask in masks:
        row, column = rng.integers(0, 8, 2)
        mask[row : row + 4, column : column + 5] = True
    image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    return SceneInput(image, Proposals.of(encode(masks), np.ones(count), SIZE))


IMAGES = [pictured(seed, count) for seed, count in enumerate([3, 5, 0, 7, 1])]
TOTAL = 16


def ranker(cache=None, *, position: float = 0.0, batch_size: int = 8, **encoder) -> Ranker:
    return Ranker(Colours(**encoder), position=position, batch_size=batch_size, cache=cache)


def same(left: Sequence[np.ndarray], right: Sequence[np.ndarray]) -> bool:
    return len(left) == len(right) and all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(left, right, strict=True)
    )


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 8, 1000])
def test_one_by_one_batched_or_from_the_store(tmp_path, joint, batch_size):
    single = ranker(joint=joint)
    expected = [single.embed([scene])[0] for scene in IMAGES]
    batched = ranker(tmp_path, batch_size=batch_size, joint=joint)
    assert same(batched.embed(IMAGES), expected)
    stored = ranker(tmp_path, batch_size=batch_size, joint=joint)
    assert same(stored.embed(IMAGES[::-1]), expected[::-1])
    assert [rows.shape for rows in expected] == [(3, 3), (5, 3), (0, 3), (7, 3), (1, 3)]
    counts = [(variant.counts.requested, variant.counts.computed) for variant in (single, batched, stored)]
    assert counts == [(TOTAL, TOTAL), (TOTAL, TOTAL), (TOTAL, 0)] and stored.encoder.seen == []


def test_regions_of_several_images_share_a_pass():
    assert ranker_batches(batch_size=8) == [[0] * 3 + [1] * 5, [0] * 7 + [1]]
    assert ranker_batches(batch_size=100) == [[0] * 3 + [1] * 5 + [2] * 7 + [3]]
    assert [len(batch) for batch in ranker_batches(batch_size=4)] == [3, 4, 1, 4, 3, 1]


def test_a_joint_encoder_sees_all_regions_of_an_image():
    assert [len(batch) for batch in ranker_batches(batch_size=4, joint=True)] == [3, 5, 7, 1]


def ranker_batches(**settings) -> list[list[int]]:
    instance = ranker(**settings)
    passes = []
    instance.encoder.register_forward_hook(lambda module, inputs, output: passes.append(inputs[0].image.tolist()))
    instance.embed(IMAGES)
    assert passes == instance.encoder.seen
    return passes


def test_the_same_image_twice_is_computed_once():
    instance = ranker()
    first, second = instance.embed([IMAGES[1], IMAGES[1]])
    assert np.array_equal(first, second) and (instance.counts.requested, instance.counts.computed) == (10, 5)


def test_other_pixels_proposals_and_settings_are_others(tmp_path):
    first = IMAGES[1]
    original = ranker(tmp_path).embed([first])
    turned = Proposals.of(first.proposals.rles[::-1], np.ones(5), SIZE)
    grown = Proposals(first.proposals.rles, first.proposals.boxes + np.array([0, 0, 1, 1]), np.ones(5), SIZE)
    noisy = first._replace(image=first.image // 2)
    for changed in (noisy, first._replace(proposals=turned), first._replace(proposals=grown)):
        again = ranker(tmp_path)
        embedded = again.embed([changed])
        assert again.counts.computed == 5 and same(embedded, ranker().embed([changed])) and not same(embedded, original)
    other = ranker(tmp_path, tint=5.0)
    assert not same(other.embed([first]), original) and other.counts.computed == 5


def test_what_a_proposer_thinks_of_its_masks_changes_no_embedding(tmp_path):
    first = IMAGES[1]
    original = ranker(tmp_path).embed([first])
    scored = Proposals.of(first.proposals.rles, np.zeros(5), SIZE)
    again = ranker(tmp_path)
    assert same(again.embed([first._replace(proposals=scored)]), original) and again.counts.computed == 0


@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "shape", "dtype", "nan", "pickle"])
def test_a_damaged_file_is_computed_again(tmp_path, damage):
    expected = ranker(tmp_path).embed([IMAGES[1]])
    [file] = tmp_path.rglob("*.npy")
    rows, content = np.load(file), file.read_bytes()
    if damage in ("empty", "cut", "noise"):
        file.write_bytes({"empty": b"", "cut": content[:-7], "noise": b"\x00" * len(content)}[damage])
    else:
        wrong = {"shape": rows[:4], "dtype": rows.astype(np.float64), "nan": rows * np.nan}
        np.save(file, wrong.get(damage, np.array([{}], object)), allow_pickle=True)
    again = ranker(tmp_path)
    assert same(again.embed([IMAGES[1]]), expected) and again.counts.computed == 5
    assert file.read_bytes() == content and same(ranker(tmp_path).embed([IMAGES[1]]), expected)


def test_logits_are_scaled_cosines():
    instance = ranker()
    regions = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 0, -1]], np.float32)
    logits = instance.logits(regions, IMAGES[0].proposals, ["red", "a green one", "blue"])
    assert logits.dtype == np.float64
    assert logits == pytest.approx(np.array([[10, 6, 0], [0, 8, 0], [0, 0, -10]]), abs=1e-6)
    assert instance.counts.scores == 9


def test_an_encoder_that_abstains_adds_a_column():
    regions = np.eye(3, dtype=np.float32)
    logits = ranker(abstains=True, position=2.0).logits(regions, IMAGES[0].proposals, ["red on the left", "blue"])
    plain = ranker(position=2.0).logits(regions, IMAGES[0].proposals, ["red on the left", "blue"])
    assert np.array_equal(logits[:, :3], plain)
    assert logits[:, 3] == pytest.approx([10 / np.sqrt(3)] * 2)


def test_position_adds_to_the_logits():
    scene, regions = IMAGES[1], ranker().embed([IMAGES[1]])[0]
    plain, biased = ranker(), ranker(position=3.0)
    queries = ["red one on the left", "green", "biggest"]
    added = biased.logits(regions, scene.proposals, queries) - plain.logits(regions, scene.proposals, queries)
    expected = [3 * position_bias(query, geometry(scene.proposals)) for query in queries]
    assert added == pytest.approx(np.array(expected)) and np.abs(added[0]).max() > 0.5 and not added[1].any()


def test_a_query_has_the_same_logits_in_any_company():
    instance, regions = ranker(position=1.0), ranker().embed([IMAGES[3]])[0]
    queries = ["red", "green left", "blue top", "red"]
    together = instance.logits(regions, IMAGES[3].proposals, queries)
    assert all(
        np.array_equal(instance.logits(regions, IMAGES[3].proposals, [query])[0], row)
        for query, row in zip(queries, together, strict=True)
    )
    assert instance.counts.texts == 3 and instance.encoder.read == [["red", "green left", "blue top"]]
    assert instance.counts.scores == 8 * 7


@given(order=st.permutations(range(7)))
def test_the_order_of_the_proposals_does_not_matter(order):
    scene, instance = IMAGES[3], ranker(position=1.5, joint=True, abstains=True)
    turned = Proposals.of([scene.proposals.rles[index] for index in order], np.ones(7), SIZE)
    logits, other = (
        instance.logits(instance.embed([scene._replace(proposals=some)])[0], some, ["red left", "green"])
        for some in (scene.proposals, turned)
    )
    assert other[:, :7] == pytest.approx(logits[:, order], abs=1e-5) and np.array_equal(other[:, 7], logits[:, 7])


@pytest.mark.parametrize("abstains", [False, True])
def test_without_proposals_or_queries_there_is_no_score(abstains):
    instance = ranker(abstains=abstains, position=1.0)
    [regions] = instance.embed([IMAGES[2]])
    assert instance.logits(regions, IMAGES[2].proposals, ["red", "blue"]).shape == (2, 0)
    assert instance.logits(np.eye(3, dtype=np.float32), IMAGES[0].proposals, []).shape[0] == 0
    assert (instance.counts.scores, instance.counts.texts, instance.counts.computed) == (0, 0, 0)


def test_many_texts_come_in_batches():
    instance = ranker(batch_size=2)
    instance.logits(np.eye(3, dtype=np.float32), IMAGES[0].proposals, ["a", "b", "c", "a", "d", "e"])
    assert instance.encoder.read == [["a", "b"], ["c", "d"], ["e"]] and instance.counts.texts == 5


def test_an_encoder_stays_in_evaluation_mode():
    assert not ranker().encoder.train().training


@pytest.mark.parametrize(
    ("key", "value"), [("position", -1), ("position", float("inf")), ("position", float("nan")), ("batch_size", 0)]
)
def test_nonsense_names_its_key(key, value):
    with pytest.raises(SettingError) as caught:
        ranker(**{key: value})
    assert caught.value.key == key


def test_rankers_share_a_store_at_the_same_time(tmp_path):
    expected = ranker().embed(IMAGES)

    def work(_: int) -> bool:
        alike = same(ranker(tmp_path).embed(IMAGES), expected)
        for file in tmp_path.rglob("[!.]*.npy"):
            file.unlink(missing_ok=True)
        return alike

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(40)))
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_another_ranker_may_be_first(tmp_path):
    slow, fast = ranker(tmp_path), ranker(tmp_path)
    slow.encoder.register_forward_hook(lambda *_: fast.embed(IMAGES[:1]) and None)
    embedded = slow.embed(IMAGES[:1])
    assert same(embedded, ranker().embed(IMAGES[:1])) and slow.counts.computed == fast.counts.computed == 3
    assert same(ranker(tmp_path).embed(IMAGES[:1]), embedded)
