"""The full-scale path of refseg without its weights: python -m benchmarks.refseg_full

Writes SAM ViT-B and CLIP ViT-B/32 with random values in their published file layouts, and two images in the parquet
schema of refcoco-m; then evaluates them as a user would, with the filters of random masks open. What the answers are
worth says nothing; that they come, and what a pass costs here, does.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import open_clip
import pandas as pd
import torch
from segment_anything import sam_model_registry

from hallmark.systems.refseg.sample.world import generate

ROOT = Path(__file__).parents[1]


def main() -> None:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        torch.save(sam_model_registry["vit_b"]().state_dict(), scratch / "sam_vit_b_01ec64.pth")
        clip = open_clip.create_model("ViT-B-32-quickgelu", pretrained=None)
        torch.save(clip.state_dict(), scratch / "clip.pt")
        source = generate(scratch / "refcoco", train=0, val=2, test=0, seed=0, synonyms=0.0) / "val.parquet"
        begun = time.perf_counter()
        subprocess.run(
            [
                sys.executable, str(ROOT / "evaluate.py"), "experiment=refseg_loop", "profile=full",
                f"data.source={source}", f"paths.outputs={scratch / 'outputs'}", "data.batch_size=1",
                f"model.proposer.model.checkpoint={scratch / 'sam_vit_b_01ec64.pth'}",
                "model.proposer.points_per_side=4", "model.proposer.min_iou=0", "model.proposer.min_stability=0",
                f"model.encoder.weights={scratch / 'clip.pt'}", "data.split.calibration=0", "data.split.test=0",
                "model.temperature=1", "analysis=[oracle,cost,cases]",
                "model.thresholds={_target_: hallmark.systems.refseg.loop.Thresholds, confidence: 1.0, gap: 1.0}",
            ],
            check=True, cwd=ROOT,
        )  # fmt: skip
        (table,) = (scratch / "outputs" / "refseg_loop").glob("*/predictions/val.parquet")
        answers = pd.read_parquet(table).query("task == 'main'")
        print(f"{answers['group'].nunique()} images, {len(answers)} expressions, {answers['info_proposals'].max()} "
              f"proposals at most, {time.perf_counter() - begun:.0f} s in all")  # fmt: skip


if __name__ == "__main__":
    main()
