"""The closed loop against the naive way to run it: python -m benchmarks.refseg_loop

Naive: for every expression one network pass a point, and at each iteration one pass a region. Both sides rank the same
queries on the same scenes of the sample world, with empty caches, and must answer with the same masks. The rewriter has
a new query at every iteration, so that no side stops early.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.fits import composed
from benchmarks.results import count_cell, number_cell, write_result
from hallmark.engine.build import build
from hallmark.engine.job import Job
from hallmark.engine.setup import prepare_data, silence_expected_warnings
from hallmark.systems.refseg.data import Scene
from hallmark.systems.refseg.module import LoopModule
from hallmark.systems.refseg.proposers.points import PointGrid
from hallmark.systems.refseg.ranker.ranker import Ranker, SceneInput
from hallmark.systems.refseg.vlm.base import Request, Rewrite

ITERATIONS, REPEATS = 3, 7


class Restless:
    """Another wording at every call: words that no other query has, behind the expression."""

    def rewrite(self, request: Request) -> Rewrite:
        return Rewrite(f"{request.expression} {' '.join(['please'] * len(request.history))}")

    def settings(self) -> dict[str, Any]:
        return {"kind": "restless"}


def made(scratch: Path, images: int, max_iter: int) -> tuple[LoopModule, list[Scene]]:
    """The loop on crops, whose regions can be embedded one by one, with a cache of its own; and the scenes."""
    settings = [
        "experiment=refseg_loop", f"data.sample.val={images}", f"model.max_iter={max_iter}", f"paths.cache={scratch}",
        "model.encoder.view.alpha=false", "model.encoder.geometry=false", "model.encoder.context=false",
        "model.temperature=1.0", "data.split.calibration=0", "data.split.test=0",
        "+model.thresholds={_target_: hallmark.systems.refseg.loop.Thresholds, confidence: 1.0, gap: 1.0}",
    ]  # fmt: skip
    job = Job.of(composed(settings))
    job.config.model.rewriter = {"_target_": "benchmarks.refseg_loop.Restless"}
    data, module = prepare_data(job), build(job.config.model, trusted=["benchmarks"])
    data.configure_inputs(module.inputs, None)
    batches = list(data.eval_dataloader("val"))
    return module, [scene for batch in batches for scene in batch]


@torch.inference_mode()
def ours(module: LoopModule, scenes: list[Scene]) -> list[dict[str, Any]]:
    return [row for at in range(0, len(scenes), 8) for row in module.predict_step(scenes[at : at + 8], at)["rows"]]


@torch.inference_mode()
def naive(module: LoopModule, scenes: list[Scene]) -> dict[str, int]:
    """The proposal chosen for each expression."""
    grid = module.proposer.proposer
    assert isinstance(grid, PointGrid)
    batch, grid.points_per_batch = grid.points_per_batch, 1
    chosen = {}
    for scene in scenes:
        for expression in scene.expressions:
            image = scene.read()
            proposals = grid.propose(image)
            steps = []
            for iteration in range(ITERATIONS + 1):
                ranker = Ranker(module.encoder, position=0.0, batch_size=1, cache=None)
                (regions,) = ranker.embed([SceneInput(scene.read(), proposals)])
                query = f"{expression.sentence} {' '.join(['please'] * iteration)}".strip()
                logits = ranker.logits(regions, proposals, [query])[0]
                shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
                steps.append((shares.max(), -iteration, int(logits.argmax())))
            top = max(steps)[2]
            chosen[expression.id] = top if top < len(proposals) else -1
    grid.points_per_batch = batch
    return chosen


def seconds(work: Any, *arguments: Any) -> tuple[float, Any]:
    """Of this process alone, on whatever else the machine is at work."""
    begun = time.process_time()
    result = work(*arguments)
    return time.process_time() - begun, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16)
    images = parser.parse_args().images
    silence_expected_warnings()
    torch.set_num_threads(1)
    spent: dict[int, list[float]] = {0: [], 2: [], ITERATIONS: []}
    with tempfile.TemporaryDirectory() as scratch:
        for repeat in range(REPEATS + 1):  # in the first one what is loaded once is loaded
            for max_iter, times in spent.items():
                module, scenes = made(Path(scratch) / f"{repeat}-{max_iter}", images, max_iter)
                duration, rows = seconds(ours, module, scenes)
                times += [duration] if repeat else []
        again, _ = seconds(ours, module, scenes)
        slow, chosen = seconds(naive, module, scenes)
    first, two, full = (median(times) for times in spent.values())
    answers = {row["id"]: row["info_chosen"] for row in rows if row["task"] == "main"}
    ranked = sum(row["info_iterations"] for row in rows if row["task"] == "main")
    same = sum(answers[name] == proposal for name, proposal in chosen.items())
    write_result(
        "refseg_loop",
        rows=f"{images} generated scenes with {len(answers)} expressions, {ranked} rewritten queries ranked: processor "
        f"time, median of {REPEATS} rounds; the naive side once.",
        intervals="",
        values={
            "images": count_cell(images),
            "expressions": count_cell(len(answers)),
            "loop": number_cell(images / full, 1),
            "naive": number_cell(images / slow, 1),
            "ratio": number_cell(slow / full, 0, "×"),
            "same": count_cell(same),
            "two_rewritings": number_cell(100 * (two / first - 1), 1, " %"),
            "three_rewritings": number_cell(100 * (full / first - 1), 1, " %"),
            "from_cache": number_cell(again / full, 2),
            "proposer_passes": count_cell(module.proposer.computed),
            "regions": count_cell(module.ranker.counts.computed),
        },
    )


if __name__ == "__main__":
    main()
