"""Predictions tables of masks, by hand and from made scenes, and the data that they are of."""

import json

import numpy as np
import pandas as pd

from hallmark.data.masks import Proposals, encode, measured, rle_text
from hallmark.systems.refseg.answers import MEASURED
from hallmark.systems.refseg.corpus import SIZES, size_bucket
from hallmark.systems.refseg.sample.scenes import draw_scene

INFO = {
    "info_stop": "confident", "info_iterations": 0, "info_calls": 0, "info_cached": 0, "info_fallback": "",
    "info_seconds": 0.01, "info_vlm_seconds": 0.0, "info_gap": 0.5, "info_chosen": 0, "info_proposals": 4,
    "info_area": 0.1, "info_image": "a.jpg", "info_sentence": "the red circle", "info_queries": '["the red circle"]',
}  # fmt: skip


def overlaps(tasks, *, groups=None, slices=None, confidence=None, **columns):
    """A table from `{task: [(intersection, union), ...]}`; ids are e0, e1, ...; (None, None) is without truth, and
    (0, 0) without a target, rightly answered; `target_area` may say so of others.

    `confidence` is of all tasks, or `{task: [...]}`.
    """
    frames = []
    for task, pairs in tasks.items():
        n = len(pairs)
        ids = [f"e{index}" for index in range(n)]
        first, second = np.array(pairs, dtype=float).T
        known = ~np.isnan(first)
        iou = np.where(known, np.where(second == 0, 1.0, first / np.where(second == 0, 1.0, second)), np.nan)
        task_confidence = confidence.get(task) if isinstance(confidence, dict) else confidence
        frames.append(pd.DataFrame({
            "id": ids, "split": "val", "task": task, "group": groups or ids,
            "target": pd.Series(["{}" if is_known else None for is_known in known], dtype=object), "prediction": "{}",
            "confidence": task_confidence or [0.5] * n, "probabilities": [[0.5, 0.5]] * n,
            "score": iou, "intersection": first, "union": second, "target_area": second, **INFO, **columns,
        }))  # fmt: skip
    table = pd.concat(frames, ignore_index=True)
    table.attrs = {"classes": {}, "slices": slices or {}}
    return table


class Scenes:
    """Expressions on made scenes with masks as a loop could have chosen them; also what `State.data` gives for them.

    Of 4 expressions an image the first is answered right at once, the second only by the loop, the third is spoiled by
    it, and the fourth stays wrong. Proposals are the visible masks with their borders off by some pixels.
    """

    def __init__(self, n=12, *, seed=0, truth=True, texts=None):
        rng = np.random.default_rng(seed)
        self.pictures, self._proposals, rows = {}, {}, []
        for image in range(n):
            scene = draw_scene(rng)
            proposals = proposals_of(scene, rng)
            for index in range(4):
                name = f"{image}#{index}"
                self.pictures[name], self._proposals[name] = scene.image, proposals
                text = (texts or {}).get(name) or f"the {scene.objects[index % 3].colour} thing on the left"
                rows += self._rows(name, image, index, scene, proposals, text, rng, truth)
        self.table = pd.DataFrame(rows)
        self.table.attrs = {
            "classes": {}, "slices": {"slice_size": SIZES, "slice_kind": ["attribute", "relation", "between", "none"]},
        }  # fmt: skip

    def picture(self, row_id):
        return self.pictures[row_id]

    def proposals(self, row_id):
        return self._proposals[row_id]

    def _rows(self, name, image, index, scene, proposals, text, rng, truth):
        wanted = int(rng.integers(len(scene.masks)))
        target = encode(scene.masks[[wanted]])[0]
        best, _ = proposals.best(target)
        other = (best + 1) % len(proposals)
        first, last = [(best, best), (other, best), (best, other), (other, other)][index]
        loops = 0 if index == 0 else int(rng.integers(1, 4))
        queries = [
            text,
            *[f"the {scene.objects[wanted].colour} {scene.objects[wanted].shape}, {k}" for k in range(loops)],
        ]
        share = scene.masks[wanted].mean()
        about = {
            "id": name, "split": "val", "group": str(image), "slice_size": size_bucket(float(share)),
            "slice_kind": ["attribute", "relation", "between"][index % 3], **INFO, "info_area": float(share),
            "info_image": f"scene_{image:03d}.jpg", "info_sentence": text, "info_queries": json.dumps(queries),
            "info_stop": ["confident", "confident", "max_iter", "unchanged"][index], "info_iterations": loops,
            "info_calls": loops, "info_cached": loops // 2, "info_fallback": "timeout" if loops == 3 else "",
            "info_proposals": len(proposals),
        }  # fmt: skip
        for task, chosen in (("main", last), ("one_shot", first), ("oracle", best)):
            sure = (0.75 if chosen == best else 0.45) + 0.2 * rng.uniform(-1, 1)
            row = {**about, "task": task, "prediction": rle_text(proposals.rles[chosen]), "confidence": sure,
                   "probabilities": [sure] + [(1 - sure) / (len(proposals) - 1)] * (len(proposals) - 1)}  # fmt: skip
            yield {**row, **_measured(proposals.rles[chosen], target if truth else None)}


def _measured(prediction, target):
    if target is None:
        return {"target": None, **dict.fromkeys(MEASURED, np.nan)}
    return {"target": rle_text(target), **measured(prediction, target)}


def proposals_of(scene, rng):
    shifted = [np.roll(mask, rng.integers(-3, 4, 2), axis=(0, 1)) for mask in scene.masks]
    rles = encode(np.stack(shifted))
    return Proposals.of(rles, np.linspace(1, 0.5, len(rles)), scene.masks.shape[1:])


def cost_of(table, **changes):
    """What `cost/<split>.json` could say of a table."""
    main = table[table["task"] == "main"]
    images = main["group"].nunique()
    regions = int(main.drop_duplicates("group")["info_proposals"].sum())
    return {
        "images": images, "expressions": len(main),
        "proposer": {"requested": images, "computed": images}, "regions": {"requested": regions, "computed": regions},
        "scores": 5 * len(main), "texts": len(main) + int(main["info_iterations"].sum()),
        "vlm": {"requests": int(main["info_calls"].sum()), "cached": 3, "fallbacks": {"timeout": 4, "429": 1},
                "tokens_in": 12345, "tokens_out": 678, "cost": 0.0123},
        "seconds": {"propose": 6.0, "embed": 3.0, "rank": 1.0, "vlm": 9.0, "total": 20.0}, "peak_gpu_bytes": None,
        **changes,
    }  # fmt: skip
