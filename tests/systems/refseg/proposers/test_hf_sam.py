import pytest
import torch
from transformers import (
    SamConfig,
    SamImageProcessor,
    SamMaskDecoderConfig,
    SamModel,
    SamProcessor,
    SamPromptEncoderConfig,
    SamVisionConfig,
)

from hallmark.learning.encoders.weights import MissingWeightsError
from hallmark.systems.refseg.masks import encode
from hallmark.systems.refseg.proposers.hf_sam import TransformersSam
from hallmark.systems.refseg.proposers.points import PointGrid, point_grid

GRID = {
    "points_per_side": 3, "points_per_batch": 4, "min_iou": 0.0, "min_stability": 0.0, "stability_offset": 1.0,
    "max_overlap": 1.0, "min_area": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    config = SamConfig(
        vision_config=SamVisionConfig(
            hidden_size=32, output_channels=16, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=8,
            window_size=4, global_attn_indexes=[1], num_pos_feats=8, mlp_dim=64,
        ).to_dict(),
        prompt_encoder_config=SamPromptEncoderConfig(
            hidden_size=16, image_size=64, patch_size=8, mask_input_channels=4
        ).to_dict(),
        mask_decoder_config=SamMaskDecoderConfig(
            hidden_size=16, mlp_dim=32, num_hidden_layers=2, num_attention_heads=2, iou_head_depth=2,
            iou_head_hidden_dim=16,
        ).to_dict(),
    )  # fmt: skip
    model = SamModel(config)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3) if weight.dim() > 1 else None
    model.tie_weights()
    folder = tmp_path_factory.mktemp("sam")
    model.save_pretrained(folder)
    size = {"height": 64, "width": 64}
    SamProcessor(SamImageProcessor(size={"longest_edge": 64}, pad_size=size)).save_pretrained(folder)
    return folder


def test_batches_give_the_masks_of_the_processor_one_by_one(folder, image):
    model = TransformersSam(name=str(folder), device="cpu")
    expected = []
    for point in (point_grid(3) * (60, 40)).tolist():
        inputs = model.processor(images=image, input_points=[[point]], input_labels=[[1]], return_tensors="pt")
        with torch.inference_mode():
            found = model.model(
                pixel_values=inputs["pixel_values"], input_points=inputs["input_points"].float(),
                input_labels=inputs["input_labels"],
            )  # fmt: skip
        [masks] = model.processor.post_process_masks(
            found.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"]
        )
        counts = [rle["counts"] for rle in encode(masks[0].numpy())]
        found = zip(counts, found.iou_scores.flatten().tolist(), masks[0], strict=True)
        expected += [(own, round(score, 3)) for own, score, mask in found if mask.any() and score > 0]
    ours = PointGrid(model, **GRID).propose(image)
    assert len(expected) > 3
    assert sorted((r["counts"], round(s, 3)) for r, s in zip(ours.rles, ours.scores, strict=True)) == sorted(expected)


def test_settings_name_the_weights(folder, tmp_path):
    first = TransformersSam(name=str(folder), device="cpu")
    assert first.settings() == TransformersSam(name=str(folder), device="cpu").settings()
    first.model.mask_decoder.iou_token.weight.data += 1
    first.model.save_pretrained(tmp_path)
    first.processor.save_pretrained(tmp_path)
    assert TransformersSam(name=str(tmp_path), device="cpu").settings() != first.settings()


def test_settings_name_how_images_are_made_to_fit_and_not_where_the_files_lie(folder, tmp_path):
    first = TransformersSam(name=str(folder), device="cpu")
    first.model.save_pretrained(tmp_path)
    first.processor.save_pretrained(tmp_path)
    assert TransformersSam(name=str(tmp_path), device="cpu").settings() == first.settings()
    first.processor.image_processor.image_mean = [0.5, 0.5, 0.5]
    first.processor.save_pretrained(tmp_path)
    assert TransformersSam(name=str(tmp_path), device="cpu").settings() != first.settings()


def test_no_such_network(tmp_path):
    with pytest.raises(MissingWeightsError, match="Three ways"):
        TransformersSam(name="facebook/sam-vit-base", device="cpu")
    with pytest.raises(MissingWeightsError, match="no such file or folder"):
        TransformersSam(name=str(tmp_path / "none"), device="cpu")
