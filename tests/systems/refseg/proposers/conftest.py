"""A Segment Anything too small to know anything, for the plumbing."""

from functools import partial

import numpy as np
import pytest
import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer


def build_sam(seed: int = 2) -> Sam:
    """SAM of 64-pixel inputs, random."""
    torch.manual_seed(seed)
    norm = partial(torch.nn.LayerNorm, eps=1e-6)
    model = Sam(
        image_encoder=ImageEncoderViT(
            depth=2, embed_dim=32, img_size=64, mlp_ratio=2, norm_layer=norm, num_heads=2, patch_size=8, qkv_bias=True,
            use_rel_pos=True, global_attn_indexes=[1], window_size=4, out_chans=16,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=16, image_embedding_size=(8, 8), input_image_size=(64, 64), mask_in_chans=4
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3, transformer_dim=16, iou_head_depth=2, iou_head_hidden_dim=16,
            transformer=TwoWayTransformer(depth=2, embedding_dim=16, mlp_dim=32, num_heads=2),
        ),
    )  # fmt: skip
    with torch.no_grad():  # fresh weights are near zero and give masks all alike
        for weight in model.parameters():
            weight.normal_(std=0.3) if weight.dim() > 1 else None
        model.mask_decoder.output_upscaling[3].weight *= 40
    return model.eval()


@pytest.fixture(scope="session")
def tiny_sam() -> Sam:
    return build_sam()


@pytest.fixture
def image() -> np.ndarray:
    """uint8 [40, 60, 3]: two rectangles on a ramp."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:] = np.linspace(40, 120, 60).astype(np.uint8)[None, :, None]
    pixels[5:20, 8:25] = (220, 30, 30)
    pixels[18:36, 34:55] = (30, 60, 230)
    return pixels
