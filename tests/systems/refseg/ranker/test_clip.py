import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import normalize
from transformers import CLIPConfig, CLIPModel

from hallmark.checks import SettingError
from hallmark.data.masks import Proposals, encode
from hallmark.learning.encoders.weights import MissingWeightsError
from hallmark.systems.refseg.proposers.boxes import BoxGrid
from hallmark.systems.refseg.ranker.clip import ClipRegionEncoder
from hallmark.systems.refseg.ranker.ranker import Ranker, SceneInput
from hallmark.systems.refseg.ranker.views import Regions, View

TEXTS = ["the red {} one", "a cat"]
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16, "mlp_ratio": 2},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2, "mlp_ratio": 2},
}
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 40, 60, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random CLIP in open_clip's layout."""
    directory = tmp_path_factory.mktemp("clip")
    (directory / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY, "preprocess_cfg": {}}))
    name = directory.with_suffix(".json")
    name.write_text(json.dumps(TINY))
    open_clip.add_model_config(name)
    torch.manual_seed(0)
    save_file(
        open_clip.create_model(name.stem, force_custom_text=True).state_dict(),
        directory / "open_clip_model.safetensors",
    )
    return directory


def build(folder: Path, *, view: dict[str, Any] | None = None, **changes: Any) -> ClipRegionEncoder:
    common = {"name": str(folder), "weights": "folder", "token_length": 32, "templates": ["a photo of {}"]}
    settings = {"kind": "crop", "size": 32, **(view or {})}
    return ClipRegionEncoder(**{**common, **changes}, view=View(**settings))


def regions(encoder: ClipRegionEncoder) -> Regions:
    return encoder.view.render(IMAGES[0], proposals(IMAGES[0]))


def proposals(image: np.ndarray) -> Proposals:
    return BoxGrid(scales=[0.5, 1.0], overlap=0.0).propose(image)


@torch.no_grad()
def test_unit_embeddings_of_the_towers(folder):
    encoder = build(folder)
    vectors, pixels = encoder.embed_regions(regions(encoder)), torch.from_numpy(regions(encoder).pixels)
    torch.testing.assert_close(vectors, encoder.image(pixels))
    assert vectors.norm(dim=1).numpy() == pytest.approx(1, abs=1e-5) and vectors.shape == (5, encoder.embedding_dim)
    assert encoder.none is None and encoder.scale == 100 and not encoder.joint
    assert not encoder.training and not any(weight.requires_grad for weight in encoder.parameters())


@torch.no_grad()
def test_templates_are_filled_and_averaged(folder):
    plain, framed, both = (
        build(folder, templates=templates) for templates in (["{}"], ["a photo of {}."], ["{}", "a photo of {}."])
    )
    mean = normalize(plain.embed_texts(TEXTS) + framed.embed_texts(TEXTS), dim=-1)
    torch.testing.assert_close(both.embed_texts(TEXTS), mean)
    written = plain.embed_texts([f"a photo of {text}." for text in TEXTS])
    torch.testing.assert_close(framed.embed_texts(TEXTS), written)
    assert not torch.allclose(written, plain.embed_texts(TEXTS), atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_global_and_local_are_mixed(folder, weight):
    encoder = build(folder, view={"kind": "global_local", "weight": weight})
    rendered = regions(encoder)
    local, context = (encoder.image(torch.from_numpy(pixels)) for pixels in (rendered.pixels, rendered.context))
    expected = normalize(weight * context + (1 - weight) * local, dim=-1)
    torch.testing.assert_close(encoder.embed_regions(rendered), expected)


def test_settings_are_what_region_embeddings_depend_on(folder):
    first = build(folder).settings()
    assert json.loads(json.dumps(first)) == first == build(folder, templates=["{}"], token_length=77).settings()
    assert build(folder, view={"padding": 0.3}).settings() != first
    assert build(folder, weights="random").settings() != first


@pytest.mark.parametrize(
    ("changes", "key", "hint"),
    [
        ({"templates": []}, "templates", "a photo of"),
        ({"templates": ["a photo"]}, "templates", "a photo of"),
        ({"templates": ["{} and {}"]}, "templates", "a photo of"),
        ({"view": {"size": 224}}, "view.size", "32, the size of the images"),
        ({"view": {"alpha": True}}, "view.alpha", "false"),
        ({"token_length": 99}, "token_length", "between 3 and 77"),
        ({"name": "ViT-B-33"}, "name", "such as ViT-B-32"),
    ],
)
def test_nonsense_names_its_key(folder, changes, key, hint):
    with pytest.raises(SettingError, match=hint) as caught:
        build(folder, **changes)
    assert caught.value.key == key


def test_absent_weights_say_three_ways():
    with pytest.raises(MissingWeightsError, match="Three ways to provide them"):
        build(Path("ViT-B-32"), weights="checkpoints/absent.pt")


def test_ranks_alike_in_any_batch_and_from_disk(folder, tmp_path):
    images = [SceneInput(image, proposals(image)) for image in IMAGES]
    answers = []
    for batch_size, cache in ((1, None), (3, None), (64, tmp_path), (64, tmp_path)):
        ranker = Ranker(build(folder), position=0.0, batch_size=batch_size, cache=cache)
        embedded = ranker.embed(images)
        pairs = zip(embedded, images, strict=True)
        answers.append(np.stack([ranker.logits(rows, scene.proposals, TEXTS) for rows, scene in pairs]))
    assert ranker.counts.computed == 0 and np.array_equal(answers[2], answers[3])
    assert answers[0].shape == (2, 2, 5) and np.ptp(answers[0]) > 1
    for other in answers[1:]:
        assert other == pytest.approx(answers[0], abs=1e-4)  # logits are a hundred times a cosine


@pytest.mark.e2e
@pytest.mark.parametrize("layout", ["open_clip", "transformers"])
def test_a_clip_of_full_size_in_both_layouts(tmp_path, layout):
    """ViT-B/32 of random values in the published layouts, from file to scores."""
    torch.manual_seed(0)
    if layout == "open_clip":
        model = open_clip.create_model("ViT-B-32", force_quick_gelu=True)
        save_file({name: tensor.half().contiguous() for name, tensor in model.state_dict().items()},
                  tmp_path / "w.safetensors")  # fmt: skip
        named = {"name": "openai/clip-vit-base-patch32", "weights": str(tmp_path / "w.safetensors")}
    else:
        model = CLIPModel(CLIPConfig()).half()
        model.save_pretrained(tmp_path)
        named = {"name": str(tmp_path), "weights": "folder"}
    reference = model.float().eval()
    view = View(kind="blur", size=224)
    encoder = ClipRegionEncoder(**named, token_length=32, templates=["a photo of {}"], view=view)
    ranker = Ranker(encoder, position=2.0, batch_size=4, cache=tmp_path / "cache")
    images = [SceneInput(image, proposals(image)) for image in IMAGES]
    embedded = ranker.embed(images)
    rendered = encoder.image.normalized(torch.from_numpy(view.render(IMAGES[1], images[1].proposals).pixels))
    with torch.no_grad():
        if layout == "open_clip":
            expected = reference.encode_image(rendered)
        else:
            features = reference.get_image_features(pixel_values=rendered)
            expected = features if isinstance(features, torch.Tensor) else features.pooler_output
    assert embedded[1] == pytest.approx(normalize(expected, dim=-1).numpy(), abs=1e-2)
    logits = ranker.logits(embedded[1], images[1].proposals, TEXTS)
    assert logits.shape == (2, 5) and np.isfinite(logits).all() and ranker.counts.computed == 10
    again = Ranker(encoder, position=2.0, batch_size=64, cache=tmp_path / "cache")
    assert np.array_equal(again.logits(again.embed(images)[1], images[1].proposals, TEXTS), logits)
    assert again.counts.computed == 0


def test_regions_are_shown_as_the_clip_transform_shows_the_square_around_them(folder):
    encoder = build(folder, view={"padding": 0.0})
    transform = open_clip.image_transform(32, is_train=False)
    box = proposals(IMAGES[0]).boxes[0].astype(int)
    side = min(box[2] - box[0], box[3] - box[1])
    square = np.array([box[0], box[1], box[0] + side, box[1] + side])
    mask = np.zeros((1, *IMAGES[0].shape[:2]), bool)
    mask[0, square[1] : square[3], square[0] : square[2]] = True
    rendered = encoder.view.render(IMAGES[0], Proposals.of(encode(mask), [1.0], IMAGES[0].shape[:2])).pixels
    window = IMAGES[0][square[1] : square[3], square[0] : square[2]]
    normalized = encoder.image.normalized(torch.tensor(rendered))[0]
    torch.testing.assert_close(normalized, transform(Image.fromarray(window)), rtol=1e-4, atol=1e-5)


def test_a_clip_that_resizes_otherwise_is_refused(folder, tmp_path):
    for path in folder.glob("*.safetensors"):
        (tmp_path / path.name).symlink_to(path)
    settings = {"model_cfg": TINY, "preprocess_cfg": {"interpolation": "bilinear"}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(settings))
    with pytest.raises(SettingError) as caught:
        build(tmp_path)
    assert caught.value.key == "name"
