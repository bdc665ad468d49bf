import json
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import normalize
from transformers import CLIPModel

from hallmark.checks import SettingError
from hallmark.features.store import encoder_key
from hallmark.learning.encoders.clip import ClipEncoders
from hallmark.learning.encoders.weights import MissingWeightsError

TEXTS = ["a great day", "hello world, this is sad", ""]
TINY = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16, "mlp_ratio": 2},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2, "mlp_ratio": 2},
}


def build(folder: Path | str, **changes: Any) -> dict[str, Any]:
    common = {"weights": "folder", "token_length": 77, "frozen": True, "modalities": ["image", "text"]}
    return ClipEncoders(**{"name": str(folder), **common, **changes})


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def architecture(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a tiny architecture that open_clip knows for the time of the tests."""
    path = tmp_path_factory.mktemp("configs") / "tiny-for-tests.json"
    path.write_text(json.dumps(TINY))
    open_clip.add_model_config(path)
    return path.stem


def embeddings(encoders: dict[str, Any], pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        return encoders["image"](pixels), encoders["text"](encoders["text"].tokenize(TEXTS))


def tensor_of(output: Any) -> torch.Tensor:
    return output if isinstance(output, torch.Tensor) else output.pooler_output


@torch.no_grad()
def test_a_transformers_folder_gives_transformers_own_embeddings(clip_folder, pixels: torch.Tensor) -> None:
    folder, model = clip_folder
    encoders = build(folder)
    image, text = embeddings(encoders, pixels)
    tokens = encoders["text"].tokenize(TEXTS)["input_ids"]
    reference_image = tensor_of(model.get_image_features(pixel_values=encoders["image"].normalized(pixels)))
    reference_text = tensor_of(model.get_text_features(input_ids=tokens))
    torch.testing.assert_close(image, normalize(reference_image, dim=-1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(text, normalize(reference_text, dim=-1), rtol=1e-4, atol=1e-5)
    assert encoders["image"].embedding_dim == encoders["text"].embedding_dim == 16


@torch.no_grad()
def test_other_activations_of_a_transformers_folder_are_respected(tmp_path: Path, clip_folder, pixels) -> None:
    _, model = clip_folder
    config = type(model.config).from_dict(model.config.to_dict())
    config.vision_config.hidden_act = config.text_config.hidden_act = "gelu"
    other = CLIPModel(config).eval()
    other.load_state_dict(model.state_dict())
    other.save_pretrained(tmp_path)
    encoders = build(tmp_path)
    expected = tensor_of(other.get_image_features(pixel_values=encoders["image"].normalized(pixels)))
    torch.testing.assert_close(encoders["image"](pixels), normalize(expected, dim=-1), rtol=1e-4, atol=1e-5)
    assert encoder_key(encoders["image"]) != encoder_key(build(clip_folder[0])["image"])


def test_short_texts_are_embedded_alike_at_any_token_length(clip_folder, pixels: torch.Tensor) -> None:
    full, short = build(clip_folder[0]), build(clip_folder[0], token_length=16)
    assert short["text"].tokenize(TEXTS)["input_ids"].shape == (3, 16)
    torch.testing.assert_close(embeddings(short, pixels)[1], embeddings(full, pixels)[1], rtol=1e-4, atol=1e-5)
    assert encoder_key(short["text"]) != encoder_key(full["text"])


def test_a_long_text_is_cut_but_still_ends(clip_folder) -> None:
    encoder = build(clip_folder[0], token_length=8)["text"]
    assert encoder.tokenize(["word " * 50])["input_ids"][0, -1] == 49407


def test_only_the_modalities_asked_for_are_built_and_frozen_means_frozen(clip_folder) -> None:
    encoders = build(clip_folder[0], modalities=["text"])
    assert list(encoders) == ["text"] and encoders["text"].frozen
    assert not any(parameter.requires_grad for parameter in encoders["text"].parameters())
    free = build(clip_folder[0], frozen=False)
    assert all(parameter.requires_grad for encoder in free.values() for parameter in encoder.parameters())


def layouts(model: torch.nn.Module) -> dict[str, dict[str, torch.Tensor]]:
    """One CLIP's weights as open_clip's two classes and OpenAI name them."""
    custom = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    joint = {name.removeprefix("text."): tensor for name, tensor in custom.items()}
    sizes = {"input_resolution": 32, "context_length": 77, "vocab_size": 49408}
    openai = {name: tensor.half() for name, tensor in joint.items()} | {k: torch.tensor(v) for k, v in sizes.items()}
    return {"custom": custom, "joint": joint, "openai": openai}


@pytest.mark.parametrize("layout", ["custom", "joint", "openai"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_local_file_round_trips(tmp_path: Path, architecture: str, pixels, layout: str, suffix: str) -> None:
    torch.manual_seed(2)
    model = open_clip.create_model(architecture, force_custom_text=True).eval()
    state = layouts(model)[layout]
    path = tmp_path / f"clip{suffix}"
    if suffix == ".pt":
        torch.save({"state_dict": state}, path)
    else:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    encoders = build(architecture, weights=str(path))
    image, text = embeddings(encoders, pixels)
    tolerance = {"rtol": 1e-2, "atol": 1e-2} if layout == "openai" else {"rtol": 1e-4, "atol": 1e-5}
    with torch.no_grad():
        torch.testing.assert_close(image, model.encode_image(encoders["image"].normalized(pixels), True), **tolerance)
        tokens = encoders["text"].tokenize(TEXTS)["input_ids"]
        torch.testing.assert_close(text, model.encode_text(tokens, True), **tolerance)


def test_a_transformers_file_fits_the_architecture_of_the_same_shape(
    tmp_path: Path, architecture: str, clip_folder, pixels: torch.Tensor
) -> None:
    encoders = build(architecture, weights=str(clip_folder[0] / "model.safetensors"))
    reference = build(clip_folder[0])
    assert torch.equal(encoders["text"].text.token_embedding.weight, reference["text"].text.token_embedding.weight)
    assert encoder_key(encoders["image"]) != encoder_key(reference["image"]), "gelu here, quick_gelu there"


def test_an_open_clip_folder_brings_architecture_and_weights(tmp_path: Path, architecture: str, pixels) -> None:
    torch.manual_seed(3)
    model = open_clip.create_model(architecture, force_custom_text=True).eval()
    stats = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": TINY, "preprocess_cfg": stats}))
    save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    encoders = build(tmp_path)
    transform = {"library": "open_clip", "size": [32, 32], "interpolation": "bicubic", "resize_mode": "shortest",
                 "fill_color": 0}  # fmt: skip
    assert encoders["image"].preprocessing == {"image_size": 32, **stats, "transform": transform}
    with torch.no_grad():
        expected = model.encode_image(encoders["image"].normalized(pixels), True)
    torch.testing.assert_close(embeddings(encoders, pixels)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("openai/clip-vit-base-patch32", (512, 224, 32, 12)),
        ("openai/clip-vit-base-patch16", (512, 224, 16, 12)),
        ("openai/clip-vit-large-patch14", (768, 224, 14, 24)),
        ("openai/clip-vit-large-patch14-336", (768, 336, 14, 24)),
    ],
)
def test_hugging_face_names_mean_openais_architectures(name: str, facts, monkeypatch: pytest.MonkeyPatch) -> None:
    requested = {}

    class Asked(Exception):
        pass

    def create_model(architecture: str, **options: Any) -> None:
        requested.update(options, name=architecture)
        raise Asked

    monkeypatch.setattr(open_clip, "create_model", create_model)
    for weights, tag in (("random", None), ("openai", "openai")):
        with pytest.raises(Asked):
            build(name, weights=weights)
        config = open_clip.get_model_config(requested["name"])
        vision = config["vision_cfg"]
        assert (config["embed_dim"], vision["image_size"], vision["patch_size"], vision["layers"]) == facts
        assert requested["pretrained"] == tag and requested["force_quick_gelu"] is True


@pytest.mark.parametrize(
    ("changes", "key", "hint"),
    [
        ({"name": "ViT-B-33"}, "name", "such as ViT-B-32"),
        ({"weights": "openia"}, "weights", "random, a local file"),
        ({"weights": "random", "token_length": 2}, "token_length", "between 3 and 77"),
        ({"weights": "random", "token_length": 78}, "token_length", "between 3 and 77"),
        ({"modalities": []}, "modalities", "image, text or both"),
        ({"modalities": ["audio"]}, "modalities", "image, text or both"),
    ],
)
def test_nonsense_names_its_key(architecture: str, changes: dict[str, Any], key: str, hint: str) -> None:
    with pytest.raises(SettingError, match=hint) as caught:
        build(**{"folder": changes.pop("name", architecture), **changes})
    assert caught.value.key == key


def test_a_folder_that_is_no_clip_or_asked_for_other_weights_is_named(tmp_path: Path, clip_folder) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SettingError, match=r"config\.json and model\.safetensors; found notes\.txt"):
        build(tmp_path)
    with pytest.raises(SettingError, match="weights='random': expected folder"):
        build(clip_folder[0], weights="random")


def test_absent_weights_and_those_of_another_architecture(tmp_path: Path, architecture: str) -> None:
    torch.save({"visual.proj": torch.zeros(3, 3)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w\.pt: weights do not fit this architecture"):
        build(architecture, weights=str(tmp_path / "w.pt"))
    with pytest.raises(MissingWeightsError, match="Three ways to provide them"):
        build(architecture, weights="/no/clip.pt")


def test_code_in_the_folder_of_a_text_model_is_neither_run_nor_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, text = tmp_path / "clip", tmp_path / "text"
    for each in (folder, text):
        each.mkdir()
    (text / "evil.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()\nclass Evil: pass\n")
    classes = {"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil", "AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    for name in ("config.json", "tokenizer_config.json"):
        (text / name).write_text(json.dumps({"model_type": "evil", "auto_map": classes}))
    encoder = {"hf_model_name": str(text), "hf_tokenizer_name": str(text)}
    config = {"model_cfg": {**TINY, "text_cfg": encoder}, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    prompts: list[str] = []
    monkeypatch.setattr("builtins.input", lambda text: prompts.append(text) or "y")
    with pytest.raises(ValueError, match="custom code"):
        build(folder, weights="random")
    assert not prompts and not (tmp_path / "mark").exists()
