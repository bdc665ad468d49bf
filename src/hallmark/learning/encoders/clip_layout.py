"""CLIP weights in the layouts that users have: open_clip's, OpenAI's and transformers'."""

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hallmark.checks import require
from hallmark.learning.encoders.libraries import open_clip
from hallmark.learning.encoders.pixels import clip_folder_transform
from hallmark.learning.encoders.weights import load_exactly, read_state_dict

# transformers' name → open_clip's, in order.
_RENAMES = (
    (r"^vision_model\.embeddings\.class_embedding", "visual.class_embedding"),
    (r"^vision_model\.embeddings\.patch_embedding", "visual.conv1"),
    (r"^vision_model\.embeddings\.position_embedding\.weight", "visual.positional_embedding"),
    (r"^vision_model\.pre_layrnorm", "visual.ln_pre"),
    (r"^vision_model\.post_layernorm", "visual.ln_post"),
    (r"^text_model\.embeddings\.token_embedding", "text.token_embedding"),
    (r"^text_model\.embeddings\.position_embedding\.weight", "text.positional_embedding"),
    (r"^text_model\.final_layer_norm", "text.ln_final"),
    (r"^vision_model\.encoder\.layers\.", "visual.transformer.resblocks."),
    (r"^text_model\.encoder\.layers\.", "text.transformer.resblocks."),
    (r"\.self_attn\.out_proj", ".attn.out_proj"),
    (r"\.layer_norm(\d)", r".ln_\1"),
    (r"\.mlp\.fc1", ".mlp.c_fc"),
    (r"\.mlp\.fc2", ".mlp.c_proj"),
)
_QKV = re.compile(r"(.*)\.self_attn\.([qkv])_proj\.(weight|bias)$")


def to_open_clip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A CLIP state dict of any known layout in that of `open_clip.CustomTextCLIP`."""
    if not any(name.startswith("text_model.") for name in state):  # open_clip's, or OpenAI's with three numbers more
        numbers = ("input_resolution", "context_length", "vocab_size")
        known = {name: tensor for name, tensor in state.items() if name not in numbers}
        return open_clip.model.convert_to_custom_text_state_dict(known)
    converted: dict[str, Tensor] = {"logit_scale": state["logit_scale"]}
    converted["visual.proj"] = state["visual_projection.weight"].T.contiguous()
    converted["text.text_projection"] = state["text_projection.weight"].T.contiguous()
    stacked: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        if "position_ids" in name or name in ("logit_scale", "visual_projection.weight", "text_projection.weight"):
            continue
        match = _QKV.match(name)
        if match:
            block, which, kind = match.groups()
            stacked.setdefault(f"{_rename(block)}.attn.in_proj_{kind}", {})[which] = tensor
        else:
            converted[_rename(name)] = tensor
    for name, parts in stacked.items():
        converted[name] = torch.cat([parts["q"], parts["k"], parts["v"]])
    return converted


def read_transformers_folder(folder: Path) -> Any:
    """An `open_clip.CustomTextCLIP` with the architecture and weights of a transformers CLIP folder."""
    from transformers import CLIPConfig  # weights in other layouts do not wait for it

    config_file, weights = folder / "config.json", folder / "model.safetensors"
    if not weights.is_file():
        weights = folder / "pytorch_model.bin"
    content = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) if folder.is_dir() else "a file"
    is_complete = config_file.is_file() and weights.is_file()
    require(is_complete, "name", str(folder), f"a CLIP folder with config.json and model.safetensors; found {content}")
    config = CLIPConfig.from_json_file(config_file)
    vision, text = config.vision_config, config.text_config
    model = open_clip.CustomTextCLIP(
        embed_dim=config.projection_dim,
        vision_cfg={"image_size": vision.image_size, "patch_size": vision.patch_size, **_trunk(vision),
                    "head_width": vision.hidden_size // vision.num_attention_heads},
        text_cfg={"context_length": text.max_position_embeddings, "vocab_size": text.vocab_size, **_trunk(text),
                  "heads": text.num_attention_heads},
        quick_gelu=vision.hidden_act == "quick_gelu",
    )  # fmt: skip
    load_exactly(model.load_state_dict, to_open_clip(read_state_dict(weights)), weights)
    transform, mean, std = clip_folder_transform(folder, vision.image_size)
    model.visual.folder_transform = transform
    model.visual.preprocess_cfg = {"size": vision.image_size, "mean": mean, "std": std}
    return model


def _trunk(config: Any) -> dict[str, Any]:
    return {"width": config.hidden_size, "layers": config.num_hidden_layers,
            "mlp_ratio": config.intermediate_size / config.hidden_size}  # fmt: skip


def _rename(name: str) -> str:
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name
