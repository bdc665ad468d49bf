"""The closed loop as a module: what is proposed, embedded, ranked and asked, and what it costs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from shutil import rmtree
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from hallmark.checks import SettingError, require
from hallmark.data.module import DataModule
from hallmark.learning.module import TrainingFreeModule
from hallmark.learning.tables import carried_columns
from hallmark.runs.metrics import MAIN
from hallmark.statistics.metrics.segmentation import SEGMENTATION_METRICS
from hallmark.storage.files import read_json, write_json
from hallmark.storage.hashing import digest
from hallmark.systems.refseg.answers import MEASURED, ONE_SHOT, ORACLE, Kind, answer_rows, best_candidate, overlap_of
from hallmark.systems.refseg.calibration import (
    Expected,
    LoopCalibration,
    Trace,
    fit_ranking_temperature,
    fit_thresholds,
    trace,
)
from hallmark.systems.refseg.cost import Stopwatch, Timings, total_calls, total_cost
from hallmark.systems.refseg.data import ExpressionDataModule, Scene
from hallmark.systems.refseg.loop import ALWAYS, NEVER, Loop, Thresholds
from hallmark.systems.refseg.proposers.base import Proposer
from hallmark.systems.refseg.proposers.cache import CachedProposer
from hallmark.systems.refseg.ranker.encoder import RegionEncoder
from hallmark.systems.refseg.ranker.ranker import Ranker
from hallmark.systems.refseg.rounds import Dialogue, answer_all, encode, query_logits
from hallmark.systems.refseg.vlm.base import Request, Rewrite, Rewriter
from hallmark.systems.refseg.vlm.calls import CallCounts, TooManyFailures

CALIBRATION, CALIBRATED = "calibration.json", "calibration"
MODEL = "model.json"  # hashes of what the answers depend on, by setting
CALLS = "cost/calibration_calls.json"
_RIGHT = 0.5  # IoU from which the nearest proposal counts as the object

Mode = Literal["answer", "fit_temperature", "fit_thresholds"]


class LoopModule(TrainingFreeModule):
    """Masks proposed without a text, ranked by an expression, ranked again by what a language model makes of it.

    Nothing is trained. The temperature of the confidences and the thresholds of the loop are fitted on the split
    `calibration` where they are not given.

    Args:
        proposer: gives masks; each image is given to it once in its life.
        encoder: embeds regions and texts; regions are embedded once in their life.
        position: see `Ranker`; `region_batch`: regions in one forward pass.
        rewriter, max_iter, combine, weight, keep: see `Loop`.
        temperature, thresholds: None to fit them.
        budget: calls of the rewriter for an expression, on average, that fitted thresholds may ask for.
        parallel: rewriters asked at a time.
        cache: root of proposals and embeddings.
    """

    state_files = (CALIBRATION,)
    without_effect = ("parallel", "region_batch")

    def __init__(
        self, *, proposer: Proposer, encoder: RegionEncoder, position: float, region_batch: int = 64,
        rewriter: Rewriter | None, max_iter: int, combine: str, weight: float, keep: str, temperature: float | None,
        thresholds: Thresholds | None, budget: float, parallel: int = 1, cache: str,
    ) -> None:  # fmt: skip
        super().__init__()
        require(budget >= 0, "budget", budget, "0 or more calls an expression")
        require(parallel >= 1, "parallel", parallel, "at least 1")
        require(region_batch >= 1, "region_batch", region_batch, "at least 1")
        self.encoder, self.rewriter, self.max_iter = encoder, rewriter, max_iter
        self.budget, self.parallel = budget, parallel
        root = Path(cache) / "refseg"
        self.proposer = CachedProposer(proposer, root / "proposals")
        self.ranker = Ranker(encoder, position=position, batch_size=region_batch, cache=root / "regions")
        self._looping = {"combine": combine, "weight": weight, "keep": keep}
        self._given = temperature, thresholds
        self.temperature = 1.0 if temperature is None else temperature
        # Until a calibration says better, the ranking alone answers.
        self.thresholds = thresholds or NEVER
        self._mode: Mode = "answer"
        self._directory: Path | None = None
        self._counted = CallCounts()
        self.loop("answer")  # says what is wrong with these

    def loop(self, mode: Mode) -> Loop:
        """The loop as it is set, the ranking alone for fitting the temperature, or one that never stops early."""
        return Loop(
            self.rewriter, max_iter=0 if mode == "fit_temperature" else self.max_iter,
            thresholds=ALWAYS if mode == "fit_thresholds" else self.thresholds, temperature=self.temperature,
            **self._looping,  # type: ignore[arg-type]
        )  # fmt: skip

    @property
    def trained_on(self) -> dict[str, str]:
        origins = {"model.proposer": self.proposer.trained_on, "model.encoder": self.encoder.trained_on}
        return {name: origin for name, origin in origins.items() if origin}

    @property
    def inputs(self) -> dict[str, Any]:
        return {"image": None, "sentence": None, "proposals": self.proposer}

    @property
    def measured(self) -> Mapping[str, Sequence[str]]:
        tasks = (MAIN, ONE_SHOT, ORACLE) if self._kind.loops else (MAIN, ORACLE)
        return dict.fromkeys(tasks, SEGMENTATION_METRICS)

    @property
    def _kind(self) -> Kind:
        return Kind(loops=self.max_iter > 0, abstains=self.encoder.none is not None)

    def settings(self) -> dict[str, Any]:
        """All that calibration and answers depend on beside the data, in plain containers."""
        temperature, thresholds = self._given
        return {
            "proposer": self.proposer.settings(),
            "encoder": {"regions": self.encoder.settings(), "texts": self.encoder.text_settings()},
            "position": self.ranker.position,
            "rewriter": None if self.rewriter is None else self.rewriter.settings(),
            "max_iter": self.max_iter, **self._looping, "budget": self.budget, "temperature": temperature,
            "thresholds": None if thresholds is None else asdict(thresholds),
        }  # fmt: skip

    @cached_property
    def _identity(self) -> dict[str, str]:
        """A hash of each of the settings."""
        return {name: digest(value) for name, value in self.settings().items()}

    def attach_run(self, directory: Path) -> None:
        self._directory = directory
        if (directory / MODEL).exists():
            before = read_json(directory / MODEL)
            changed = sorted(name for name in self._identity if before.get(name) != self._identity[name])
            if changed:
                names = ", ".join(f"model.{name}" for name in changed)
                raise ValueError(
                    f"{directory / MODEL}: what {names} read for this run (weights, a table of words) has changed "
                    "since; restore it, or make the run again with rerun=true"
                )
        if (directory / CALIBRATION).exists():
            fitted = LoopCalibration.read(directory / CALIBRATION)
            self.temperature, self.thresholds = fitted.temperature, fitted.thresholds

    def calibrate(self, predict: Callable[[str], list[Any]], data: DataModule) -> None:
        assert self._directory is not None, "attach_run comes first"
        assert isinstance(data, ExpressionDataModule), "calibrated on expressions"
        path, calls = self._directory / CALIBRATION, self._directory / CALLS
        write_json(self._directory / MODEL, self._identity)
        self.calls = read_json(calls) if path.exists() and calls.exists() else {}
        if None not in self._given or path.exists():
            return
        if not (data.samples["split"] == CALIBRATED).any():
            wanted = "a share of images to fit model.temperature and model.thresholds on, or those two given"
            raise SettingError("data.split.calibration", 0, wanted)
        # First the temperature: thresholds are compared with the confidences that it makes.
        temperature, thresholds = self._given
        if temperature is None:
            temperature = self.temperature = self._fitted_temperature(predict, data.generated)
        expected: Expected | None = None
        n = int((data.samples["split"] == CALIBRATED).sum())
        if thresholds is None:
            traces = self._calibration_rows(predict, "fit_thresholds")
            if self.calls:
                write_json(calls, self.calls)
            thresholds, expected = fit_thresholds([Trace(**row) for row in traces], budget=self.budget)
        calibration = LoopCalibration(temperature, thresholds, expected, n, CALIBRATED, self.calibration_digest(data))
        calibration.write(path)
        self.attach_run(self._directory)

    def calibration_digest(self, data: ExpressionDataModule) -> str:
        """Hash of all that a calibration depends on: the model, and the rows of its split as the model sees them."""
        return digest({"model": self._identity, "data": data.identity(CALIBRATED)})

    def _fitted_temperature(self, predict: Callable[[str], list[Any]], origin: str | None) -> float:
        """The temperature; `origin` names the data if it was generated.

        Raises:
            SettingError: no expression has a proposal that is near enough to its object.
        """
        rows = self._calibration_rows(predict, "fit_temperature")
        usable = [row for row in rows if row["iou"] >= _RIGHT and row["logits"]]
        if not usable:
            best = max(row["iou"] for row in rows)
            known = self.trained_on.get("model.proposer")
            cause = f" It knows {known} alone, and this is other data: profile=full proposes with published weights."
            raise SettingError(
                "model.temperature", None,
                f"a number here, because none can be fitted: of {len(rows)} expressions to calibrate on none has a "
                f"proposal with an IoU of {_RIGHT:g} or more (the best has {best:.2f}) from {self.proposer}."
                f"{cause if known and known != origin else ' Another model.proposer may find the objects.'}",
            )  # fmt: skip
        return fit_ranking_temperature([np.array(row["logits"]) for row in usable], [row["best"] for row in usable])

    def _calibration_rows(self, predict: Callable[[str], list[Any]], mode: Mode) -> list[dict[str, Any]]:
        # Predictions go through the trainer, which passes no arguments on: what they are for is said by the mode.
        self.on_predict_start()
        self._mode = mode
        try:
            outputs = predict(CALIBRATED)
        finally:
            self._mode = "answer"
        self._count(total_calls(outputs), complete=True)
        return [row for output in outputs for row in output["rows"]]

    def on_predict_start(self) -> None:
        self._counted = CallCounts()

    def _count(self, counts: CallCounts, *, complete: bool) -> None:
        """Note the calls of a phase so far; raises `TooManyFailures` where too many failed."""
        self._counted, self.calls = counts, asdict(counts) if counts.requests else {}
        try:
            counts.check(self.rewriter, complete=complete)
        except TooManyFailures:
            # A batch with a failed call is not kept, so that the next attempt asks for it again.
            for path in (self._directory / "partial").glob("*.json") if self._directory is not None else ():
                if CallCounts(**read_json(path)["calls"]).failed:
                    path.unlink()
            raise

    def transfer_batch_to_device(self, batch: Sequence[Scene], device: torch.device, _: int) -> Sequence[Scene]:
        return batch  # images are read when they are looked at

    def predict_step(self, batch: Sequence[Scene], batch_idx: int) -> dict[str, Any]:
        """`rows` in plain values, and what they cost; read from disk where they were answered before."""
        path, mode = None, self._mode
        if self._directory is not None and all(scene.keeps for scene in batch):
            # All that the answers depend on, so that what an earlier calibration or other data gave is not taken over.
            ids = [expression.id for scene in batch for expression in scene.expressions]
            key = {
                "ids": ids, "scenes": [scene.digest for scene in batch], "model": self._identity,
                "temperature": self.temperature, **asdict(self.loop(mode).thresholds), "for": mode,
            }  # fmt: skip
            path = self._directory / "partial" / f"{digest(key)}.json"
        if path is not None and path.exists():
            output = read_json(path)
        else:
            output = self._answered(batch, mode)
            if path is not None:
                write_json(path, output)
        self._count(self._counted + CallCounts(**output["calls"]), complete=False)
        return output

    def _answered(self, batch: Sequence[Scene], mode: Mode) -> dict[str, Any]:
        timings, work = Timings(), self._work()
        with Stopwatch() as total:
            loop, asks = self.loop(mode), self.rewriter is not None and self.max_iter > 0
            dialogues = []
            for encoded in encode(batch, self.proposer, self.ranker, timings):
                scene, n_proposals = encoded.scene, len(encoded.proposals)
                image = scene.content() if asks else b""  # once for all expressions, and only where someone looks at it
                for expression in scene.expressions:
                    text = expression.sentence
                    request = Request(image, scene.digest, text, text, history=(), sample_id=expression.id)
                    dialogues.append(Dialogue(encoded, expression, loop.dialogue(request, n_proposals)))
            rows: list[dict[str, Any]] = []
            rewrites: list[Rewrite] = []
            for dialogue in answer_all(dialogues, partial(query_logits, self.ranker), self.parallel, timings):
                assert dialogue.outcome is not None
                rows += self._rows(dialogue, mode)
                rewrites += dialogue.outcome.rewrites
        return {
            "rows": rows, "images": len(batch), "seconds": {**timings.seconds, "total": total.seconds},
            "work": {name: value - work[name] for name, value in self._work().items()},
            "calls": asdict(CallCounts.of(rewrites)), "keeps": all(scene.keeps for scene in batch),
        }  # fmt: skip

    def _rows(self, dialogue: Dialogue, mode: Mode) -> list[dict[str, Any]]:
        """Rows of the predictions table, or what a calibration is fitted on."""
        expression, outcome, proposals = dialogue.expression, dialogue.outcome, dialogue.scene.proposals
        assert outcome is not None
        if mode == "answer":
            return list(answer_rows(expression, outcome, proposals, self._kind, dialogue.seconds))
        if mode == "fit_thresholds":
            return [asdict(trace(outcome, overlap_of(expression, proposals)))]
        position, iou = best_candidate(expression, proposals, abstains=self._kind.abstains)
        best = position if position >= 0 else len(proposals)  # "no such object" is the last logit
        return [{"logits": outcome.first.logits.tolist(), "best": best, "iou": iou}]

    def _work(self) -> dict[str, float]:
        counts = self.ranker.counts
        usage: dict[str, float] = getattr(self.rewriter, "spent", dict)()
        return {
            "proposer requested": self.proposer.requested, "proposer computed": self.proposer.computed,
            "regions requested": counts.requested, "regions computed": counts.computed, "scores": counts.scores,
            "texts": counts.texts, "cost": float(usage.get("cost", 0.0)),
        }  # fmt: skip

    def table(self, outputs: Sequence[Any], data: DataModule, split: str) -> pd.DataFrame:
        self._count(total_calls(outputs), complete=True)
        samples = data.rows(split).set_index("id", drop=False)
        rows = pd.DataFrame([row for output in outputs for row in output["rows"]])
        samples = samples.loc[rows["id"]].reset_index(drop=True)
        frame = rows.assign(split=split, group=samples["group"], target=samples["target"], **carried_columns(samples))
        frame = frame.astype(dict.fromkeys(MEASURED, float))
        # Answers came expression by expression; a table has its tasks one after another.
        order = pd.Categorical(frame["task"], list(dict.fromkeys(frame["task"])), ordered=True)
        frame = frame.iloc[order.argsort(kind="stable")].reset_index(drop=True)
        frame.attrs = {"classes": {}, "slices": data.slice_categories()}
        if self._directory is not None and all(output["keeps"] for output in outputs):
            write_json(self._directory / "cost" / f"{split}.json", total_cost(outputs, frame["id"].nunique()))
            # From here on the table holds what a run that is stopped would have to ask for again.
            rmtree(self._directory / "partial", ignore_errors=True)
        return frame
