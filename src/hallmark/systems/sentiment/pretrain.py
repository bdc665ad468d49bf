"""Makes the small encoders of the sample profile from generated pairs, without their labels.

    python -m hallmark.systems.sentiment.pretrain

writes `assets/tiny_bert` (vocabulary and architecture, no weights) and `assets/tiny_clip` (the same
vocabulary, a contrastively trained CLIP in half precision), in about six minutes on two cores. The
pairs come from a world of another seed than any preset's.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from hallmark.data.images import SquareCrop, decoded_images
from hallmark.learning.encoders.tiny_bert import train_tokenizer, write_tiny_bert
from hallmark.learning.encoders.weights import TRAINED_ON
from hallmark.storage.decoding import decode_bytes
from hallmark.storage.hashing import digest_file
from hallmark.systems.sentiment.sample.world import generate

ASSETS = Path(__file__).parent / "assets"
PAIRS, SEED, STEPS, BATCH, LR = 8000, 90210, 4000, 64, 2e-3
IMAGE_SIZE, TOKENS, VOCABULARY = 64, 40, 1600

_VISION = {"image_size": IMAGE_SIZE, "patch_size": 8, "width": 64, "layers": 4, "head_width": 16}
_TEXT = {"context_length": TOKENS, "vocab_size": VOCABULARY, "width": 64, "heads": 4, "layers": 2, "pool_type": "first",
         "no_causal_mask": True, "hf_tokenizer_name": "tiny_clip"}  # fmt: skip
_CLIP: dict[str, Any] = {"embed_dim": 64, "vision_cfg": _VISION, "text_cfg": _TEXT}


def main() -> None:
    torch.manual_seed(SEED)
    with tempfile.TemporaryDirectory() as scratch:
        world = generate(Path(scratch) / "world", rows=PAIRS, unlabelled=0, seed=SEED, label_noise=0.0)
        images = sorted((world / "data").glob("*.jpg"))
        texts = [decode_bytes(path.with_suffix(".txt").read_bytes()).text.strip() for path in images]
        tokenizer = train_tokenizer(texts, VOCABULARY)
        digests = [digest_file(path) for path in images]
        pixels = decoded_images(images, digests, SquareCrop(IMAGE_SIZE), Path(scratch)).take(range(len(images)))
    write_tiny_bert(ASSETS / "tiny_bert", tokenizer)
    tokens = tokenizer(texts, truncation=True, max_length=TOKENS, padding="max_length", return_tensors="pt")
    model = fit(torch.from_numpy(pixels), tokens["input_ids"])
    write_tiny_clip(ASSETS / "tiny_clip", model, tokenizer)


def fit(pixels: Tensor, tokens: Tensor) -> open_clip.CustomTextCLIP:
    """Train CLIP's symmetric contrastive loss (Radford et al. 2021) on uint8 pixels [N, 3, S, S] and ids [N, L]."""
    model = open_clip.CustomTextCLIP(**_CLIP)
    optimizer = torch.optim.AdamW(model.parameters(), LR, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=STEPS)
    loss_of = open_clip.ClipLoss()
    mean = 255 * torch.tensor(open_clip.OPENAI_DATASET_MEAN).view(3, 1, 1)
    std = 255 * torch.tensor(open_clip.OPENAI_DATASET_STD).view(3, 1, 1)
    for step in range(STEPS):
        batch = torch.randint(len(pixels), (BATCH,))
        flipped = torch.where(torch.rand(BATCH, 1, 1, 1) < 0.5, pixels[batch], pixels[batch].flip(-1))
        image, text, scale = model((flipped - mean) / std, tokens[batch])
        loss = loss_of(image, text, scale)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 200 == 0:
            print(f"step {step} of {STEPS}: contrastive loss {loss.item():.3f}", flush=True)
    return model.eval()


def write_tiny_clip(folder: Path, model: open_clip.CustomTextCLIP, tokenizer: PreTrainedTokenizerFast) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    tokenizer.save_pretrained(folder)
    preprocess = {"size": IMAGE_SIZE, "mean": open_clip.OPENAI_DATASET_MEAN, "std": open_clip.OPENAI_DATASET_STD}
    config = {"model_cfg": _CLIP, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = folder / "open_clip_model.safetensors"
    metadata = {TRAINED_ON: "the generated sample of sentiment"}
    save_file({name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}, weights, metadata)
    print(f"{weights.name}: {weights.stat().st_size / 1e6:.1f} MB, BLAKE2b {digest_file(weights)}")


if __name__ == "__main__":
    main()
