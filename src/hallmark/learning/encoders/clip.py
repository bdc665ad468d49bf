"""The two encoders of CLIP, through open_clip."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import normalize

from hallmark.checks import require
from hallmark.data.images import PixelTransform
from hallmark.learning.encoders.base import Encoder, ImageEncoder, TextEncoder
from hallmark.learning.encoders.clip_layout import read_transformers_folder, to_open_clip
from hallmark.learning.encoders.libraries import open_clip
from hallmark.learning.encoders.pixels import open_clip_transform
from hallmark.learning.encoders.weights import (
    load_exactly,
    local_path,
    published,
    read_state_dict,
    trained_on,
    weights_requirement,
)
from hallmark.storage.hashing import digest
from hallmark.storage.requirements import Requirement

# OpenAI's four releases carry other names on the Hugging Face hub than in open_clip.
_HUGGING_FACE = {
    "openai/clip-vit-base-patch32": "ViT-B-32-quickgelu",
    "openai/clip-vit-base-patch16": "ViT-B-16-quickgelu",
    "openai/clip-vit-large-patch14": "ViT-L-14-quickgelu",
    "openai/clip-vit-large-patch14-336": "ViT-L-14-336-quickgelu",
}


class ClipImageEncoder(ImageEncoder):
    """CLIP's image encoder with its projection; embeddings are unit vectors."""

    def __init__(
        self, visual: nn.Module, *, image_size: int, mean: Sequence[float], std: Sequence[float],
        transform: PixelTransform,
    ) -> None:  # fmt: skip
        super().__init__(image_size=image_size, mean=mean, std=std, transform=transform)
        self.visual = visual
        self.embedding_dim = int(visual.output_dim)  # type: ignore[arg-type]

    def forward(self, pixels: Tensor) -> Tensor:
        return normalize(self.visual(self.normalized(pixels)), dim=-1)


class ClipTextEncoder(TextEncoder):
    """CLIP's text encoder with its projection; embeddings are unit vectors.

    The tokens are cut to `token_length`: tweets end long before CLIP's 77, and attention is paid for
    every position.
    """

    def __init__(self, text: nn.Module, tokenizer: Any, *, token_length: int) -> None:
        super().__init__()
        self.text, self.tokenizer, self.token_length = text, tokenizer, token_length
        self.embedding_dim = int(text.output_dim)  # type: ignore[arg-type]
        self.frozen = False
        inner = getattr(tokenizer, "tokenizer", None)
        vocabulary = tokenizer.encoder if inner is None else inner.get_vocab()
        self.preprocessing = {"token_length": token_length, "tokenizer": digest(vocabulary)}
        mask: Any = text.attn_mask
        if mask is not None:  # open_clip cuts its positions to the tokens given, but applies its causal mask whole
            text.register_buffer("attn_mask", mask[:token_length, :token_length].clone(), persistent=False)

    def tokenize(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """`input_ids` int64 [N, token_length]."""
        return {"input_ids": self.tokenizer(list(texts), context_length=self.token_length)}

    def forward(self, tokens: dict[str, Tensor]) -> Tensor:
        return normalize(self.text(tokens["input_ids"]), dim=-1)


class ClipEncoders(dict[str, Encoder]):
    """The encoders of one CLIP as {"image": ..., "text": ...}, for the `modalities` asked for.

    Args:
        name: an open_clip architecture (ViT-B-32), a Hugging Face name of OpenAI's releases
            (openai/clip-vit-base-patch32), or a local folder in open_clip's or transformers' layout.
        weights: `openai` or another of open_clip's tags for the architecture, `random`, or a local file
            in either layout; a folder brings its own (`folder`).
        token_length: at most the architecture's context.

    Raises:
        SettingError, MissingWeightsError, ValueError: see the messages.
    """

    def __init__(
        self, *, name: str, weights: str, token_length: int, frozen: bool, modalities: Sequence[str]
    ) -> None:  # fmt: skip
        super().__init__()
        known = set(modalities) <= {"image", "text"} and bool(modalities)
        require(known, "modalities", list(modalities), "image, text or both")
        model, tokenizer = _load(name, weights)
        text, visual, longest = model.text, model.visual, model.text.context_length
        require(3 <= token_length <= longest, "token_length", token_length, f"between 3 and {longest}")
        if "image" in modalities:
            config = visual.preprocess_cfg
            sides = set(config["size"]) if isinstance(config["size"], tuple | list) else {config["size"]}
            require(len(sides) == 1, "name", name, f"a CLIP that looks at squares; this one looks at {config['size']}")
            transform = getattr(visual, "folder_transform", None) or open_clip_transform(config)
            self["image"] = ClipImageEncoder(
                visual, image_size=sides.pop(), mean=config["mean"], std=config["std"], transform=transform
            )
        if "text" in modalities:
            self["text"] = ClipTextEncoder(text, tokenizer, token_length=token_length)
        origin = trained_on(local_path(name if weights == "folder" or local_path(name) else weights))
        for encoder in self.values():
            encoder.trained_on = None if weights == "random" else origin
            if frozen:
                encoder.freeze()

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """The weights of both encoders."""
        return [clip_requirement(arguments["name"], arguments["weights"])]


def clip_requirement(name: str, weights: str) -> Requirement:
    """The weights of `ClipEncoders`."""
    architecture = _HUGGING_FACE.get(name, name).removesuffix("-quickgelu")
    config = open_clip.get_pretrained_cfg(architecture, weights)
    repository = str(config.get("hf_hub") or "").rpartition("/")[0] if config else ""
    text = f"CLIP {name} ({weights})"
    if weights == "random" and architecture in open_clip.list_models():
        return Requirement(text)
    published_name = config or weights in ("folder", "random")
    return weights_requirement(text, name if published_name else weights, repository)


def _load(name: str, weights: str) -> tuple[Any, Any]:
    """A CLIP and its tokenizer."""
    folder = local_path(name)
    if folder is not None and (folder / "open_clip_config.json").is_file():
        from transformers import dynamic_module_utils

        dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0  # or a text model of the folder could ask to run its own code
        source = f"local-dir:{folder}"
        return _create(source, None, load=weights != "random"), open_clip.get_tokenizer(source)
    if folder is not None:
        require(weights == "folder", "weights", weights, "folder, because a folder in this layout brings its own")
        return read_transformers_folder(folder), open_clip.get_tokenizer("ViT-B-32")
    architecture = _HUGGING_FACE.get(name, name)
    known = f"an open_clip architecture such as ViT-B-32, one of {', '.join(_HUGGING_FACE)}, or a local folder"
    require(architecture in open_clip.list_models(), "name", name, known)
    tags = open_clip.list_pretrained_tags_by_model(architecture.removesuffix("-quickgelu"))
    if weights in tags:
        with published(f"CLIP {architecture} ({weights})"):
            return _create(architecture, weights, load=True), open_clip.get_tokenizer(architecture)
    path = local_path(weights) if weights != "random" else None
    known = f"random, a local file, or one of {', '.join(tags)}"
    require(weights == "random" or path is not None, "weights", weights, known)
    model = _create(architecture, None, load=False)
    if path is not None:
        load_exactly(model.load_state_dict, to_open_clip(read_state_dict(path)), path)
    with published(f"tokenizer of CLIP {architecture}"):
        return model, open_clip.get_tokenizer(architecture)


def _create(name: str, tag: str | None, *, load: bool) -> Any:
    quick = tag == "openai" or name.endswith("-quickgelu")
    return open_clip.create_model(
        name, pretrained=tag, load_weights=load, force_quick_gelu=quick, force_custom_text=True, require_pretrained=load
    )
