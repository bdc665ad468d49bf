"""The closed loop as a module: what is proposed, embedded, ranked and asked, and what it costs."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hallmark.checks import SettingError, require
from hallmark.data.module import DataModule
from hallmark.learning.module import ReadyModule
from hallmark.learning.tables import carried_columns
from hallmark.runs.metrics import MAIN
from hallmark.statistics.segmentation import SEGMENTATION_METRICS
from hallmark.storage.files import read_json, write_json
from hallmark.storage.hashing import digest, digest_bytes
from hallmark.systems.refseg.answers import MEASURED, ONE_SHOT, ORACLE, Kind, answer_rows, best_candidate, overlap_of
from hallmark.systems.refseg.calibration import Calibration, Expected, Trace, fit_temperature, fit_thresholds, trace
from hallmark.systems.refseg.cost import Spent, total_calls, total_cost
from hallmark.systems.refseg.data import Expression, ExpressionDataModule, Scene
from hallmark.systems.refseg.loop import ALWAYS, NEVER, Loop, Outcome, Thresholds
from hallmark.systems.refseg.proposers.base import Proposer
from hallmark.systems.refseg.proposers.cache import CachedProposer
from hallmark.systems.refseg.ranker.encoder import RegionEncoder
from hallmark.systems.refseg.ranker.ranker import Pictured, Ranker
from hallmark.systems.refseg.rounds import Seen, Talk, carry_out
from hallmark.systems.refseg.vlm.base import Request, Rewrite, Rewriter
from hallmark.systems.refseg.vlm.calls import CallCounts, TooManyFailures

CALIBRATION, CALIBRATED = "calibration.json", "calibration"
MODEL = "model.json"  # hashes of what the answers depend on, by setting
CALLS = "cost/calibration_calls.json"
_RIGHT = 0.5  # IoU from which the nearest proposal counts as the object

Answer = Callable[["Seen", Expression, Outcome, float], list[dict[str, Any]]]


class LoopModule(ReadyModule):
    """Masks proposed without a text, ranked by an expression, ranked again by what a language model makes of it.

    Nothing is trained. The temperature of the confidences and the thresholds of the loop are fitted on the split
    `calibration` where they are not given.

    Args:
        proposer: gives masks; each image is given to it once in its life.
        encoder: embeds regions and texts; regions are embedded once in their life.
        position: see `Ranker`; region_batch: regions in one forward pass.
        rewriter, max_iter, combine, weight, keep: see `Loop`.
        temperature, thresholds: None to fit them.
        budget: calls of the rewriter for an expression, on average, that fitted thresholds may ask for.
        parallel: rewriters asked at a time.
        cache: root of proposals and embeddings.
    """

    def __init__(
        self, *, proposer: Proposer, encoder: RegionEncoder, position: float, region_batch: int,
        rewriter: Rewriter | None, max_iter: int, combine: str, weight: float, keep: str, temperature: float | None,
        thresholds: Thresholds | None, budget: float, parallel: int, cache: str,
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
        self.thresholds = thresholds or NEVER
        self._answer: Answer = self._rows
        self._directory: Path | None = None
        self._counted = CallCounts()
        self.loop = self._loop_of(max_iter)

    def _loop_of(self, max_iter: int) -> Loop:
        return Loop(
            self.rewriter, max_iter=max_iter, thresholds=self.thresholds, temperature=self.temperature,
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

    def _check_identity(self, path: Path) -> None:
        """Raise ValueError where the run in `path` was begun with a model whose files or tables were others."""
        before = read_json(path)
        changed = sorted(name for name in self._identity if before.get(name) != self._identity[name])
        if changed:
            names = ", ".join(f"model.{name}" for name in changed)
            raise ValueError(f"{path}: what {names} read for this run (weights, a table of words) has changed since; "
                             "restore it, or make the run again with rerun=true")  # fmt: skip

    def settle(self, directory: Path) -> None:
        self._directory = directory
        if (directory / MODEL).exists():
            self._check_identity(directory / MODEL)
        if (directory / CALIBRATION).exists():
            found = Calibration.read(directory / CALIBRATION)
            self.temperature, self.thresholds = found.temperature, found.thresholds
            self.loop = self._loop_of(self.max_iter)

    def calibrate(self, predict: Callable[[str], list[Any]], data: DataModule) -> None:
        assert self._directory is not None, "settle comes first"
        assert isinstance(data, ExpressionDataModule), "calibrated on expressions"
        path, calls = self._directory / CALIBRATION, self._directory / CALLS
        write_json(self._directory / MODEL, self._identity)
        self.calls = read_json(calls) if path.exists() and calls.exists() else {}
        if None not in self._given or path.exists():
            return
        if not (data.samples["split"] == CALIBRATED).any():
            wanted = "a share of images to fit model.temperature and model.thresholds on, or those two given"
            raise SettingError("data.split.calibration", 0, wanted)
        temperature, thresholds = self._given
        if temperature is None:
            temperature = self.temperature = self._fitted_temperature(predict, data.generated)
        expected: Expected | None = None
        n = int((data.samples["split"] == CALIBRATED).sum())
        if thresholds is None:
            self.thresholds = ALWAYS
            traces = self._passed(predict, self._traces, self.max_iter)
            write_json(calls, self.calls)
            thresholds, expected = fit_thresholds([Trace(**one) for one in traces], budget=self.budget)
        Calibration(temperature, thresholds, expected, n, CALIBRATED, self.calibration_digest(data)).write(path)
        self.settle(self._directory)

    def calibration_digest(self, data: ExpressionDataModule) -> str:
        """Hash of all that a calibration depends on: the model, and the rows of its split as the model sees them."""
        return digest({"model": self._identity, "data": data.identity(CALIBRATED)})

    def _fitted_temperature(self, predict: Callable[[str], list[Any]], origin: str | None) -> float:
        """The temperature; `origin` names the data if it was generated.

        Raises:
            SettingError: no expression has a proposal that is near enough to its object.
        """
        rows = self._passed(predict, self._best, 0)
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
        return fit_temperature([np.array(row["logits"]) for row in usable], [row["best"] for row in usable])

    def _passed(self, predict: Callable[[str], list[Any]], answer: Answer, max_iter: int) -> list[dict[str, Any]]:
        """What `answer` says of the calibration split, with a loop of `max_iter`."""
        before, self._answer, self.loop = self._answer, answer, self._loop_of(max_iter)
        self.on_predict_start()
        try:
            outputs = predict(CALIBRATED)
        finally:
            self._answer = before
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
            self._forget_failed()
            raise

    def _forget_failed(self) -> None:
        """Keep no batch with a failed call, so that the next attempt asks for it again."""
        for path in (self._directory / "partial").glob("*.json") if self._directory is not None else ():
            if CallCounts(**read_json(path)["calls"]).failed:
                path.unlink()

    def transfer_batch_to_device(self, batch: Sequence[Scene], device: torch.device, _: int) -> Sequence[Scene]:
        return batch  # images are read when they are looked at

    def predict_step(self, batch: Sequence[Scene], batch_idx: int) -> dict[str, Any]:
        """`rows` in plain values, and what they cost; read from disk where they were answered before."""
        begun = time.perf_counter()
        kept = self._kept_at(batch)
        if kept is not None and kept.exists():
            output = read_json(kept)
            self._count(self._counted + CallCounts(**output["calls"]), complete=False)
            return output
        spent = Spent()
        before = self._work()
        rows, calls = self._answered(self._seen(batch, spent), spent)
        spent.work = {name: value - before[name] for name, value in self._work().items()}
        seconds = {**spent.seconds, "total": time.perf_counter() - begun}
        output = {
            "rows": rows,
            "images": len(batch),
            "seconds": seconds,
            "work": spent.work,
            "calls": asdict(calls),
            "keeps": all(s.keeps for s in batch),
        }
        if kept is not None:
            write_json(kept, output)
        self._count(self._counted + calls, complete=False)
        return output

    def _kept_at(self, batch: Sequence[Scene]) -> Path | None:
        """Where the answers to a batch are kept while the run is under way."""
        if self._directory is None or not all(scene.keeps for scene in batch):
            return None
        ids = [expression.id for scene in batch for expression in scene.expressions]
        key = {
            "ids": ids, "scenes": [scene.digest for scene in batch], "model": self._identity,
            "temperature": self.temperature, **asdict(self.thresholds), "for": self._answer.__name__,
        }  # fmt: skip
        return self._directory / "partial" / f"{digest(key)}.json"

    def _seen(self, batch: Sequence[Scene], spent: Spent) -> list[Seen]:
        with spent.on("propose"):
            pixels = [scene.read() for scene in batch]
            proposals = [self.proposer.propose(image) for image in pixels]
        pictured = [
            Pictured(digest_bytes(str(image.shape).encode(), image.tobytes()), partial(_given, image), found)
            for image, found in zip(pixels, proposals, strict=True)
        ]
        with spent.on("embed"):
            regions = self.ranker.embed(pictured)
        return [Seen(*one) for one in zip(batch, proposals, regions, strict=True)]

    def _answered(self, seen: Sequence[Seen], spent: Spent) -> tuple[list[dict[str, Any]], CallCounts]:
        talks = [talk for own in seen for talk in self._talks(own)]
        rows: list[dict[str, Any]] = []
        rewrites: list[Rewrite] = []
        for talk in carry_out(talks, self._ranked, self.parallel, spent.on):
            assert talk.outcome is not None
            rows += self._answer(talk.seen, talk.expression, talk.outcome, talk.seconds)
            rewrites += talk.outcome.rewrites
        of_loop = sum(talk.seconds for talk in talks) - spent.seconds["rank"]
        spent.seconds["rank"] += of_loop
        spent.seconds["vlm"] = max(0.0, spent.seconds["vlm"] - of_loop)
        return rows, CallCounts.of(rewrites)

    def _talks(self, seen: Seen) -> Iterator[Talk]:
        asks = self.rewriter is not None and self.max_iter > 0
        image = seen.scene.content() if asks else b""
        for expression in seen.scene.expressions:
            request = Request(
                image=image, image_digest=seen.scene.digest, expression=expression.sentence, query=expression.sentence,
                history=(), sample_id=expression.id,
            )  # fmt: skip
            yield Talk(seen, expression, self.loop.talk(request, len(seen.proposals)))

    def _ranked(self, talks: Sequence[Talk]) -> list[NDArray]:
        self.ranker.read([str(talk.query) for talk in talks])
        asked: dict[int, dict[str, Seen]] = {}
        for talk in talks:
            asked.setdefault(id(talk.seen), {})[str(talk.query)] = talk.seen
        found: dict[tuple[int, str], NDArray] = {}
        for name, queries in asked.items():
            seen = next(iter(queries.values()))
            logits = self.ranker.logits(seen.regions, seen.proposals, list(queries))
            found |= {(name, query): row for query, row in zip(queries, logits, strict=True)}
        return [found[id(talk.seen), str(talk.query)] for talk in talks]

    def _rows(self, seen: Seen, expression: Expression, outcome: Outcome, seconds: float) -> list[dict[str, Any]]:
        return list(answer_rows(expression, outcome, seen.proposals, self._kind, seconds))

    def _traces(self, seen: Seen, expression: Expression, outcome: Outcome, _: float) -> list[dict[str, Any]]:
        return [asdict(trace(outcome, overlap_of(expression, seen.proposals)))]

    def _best(self, seen: Seen, expression: Expression, outcome: Outcome, _: float) -> list[dict[str, Any]]:
        """The logits (none without proposals), the best candidate and its IoU."""
        place, iou = best_candidate(expression, seen.proposals, abstains=self._kind.abstains)
        best = place if place >= 0 else len(seen.proposals)
        return [{"logits": outcome.first.logits.tolist(), "best": best, "iou": iou}]

    def _work(self) -> dict[str, float]:
        counts = self.ranker.counts
        spent: dict[str, float] = getattr(self.rewriter, "spent", dict)()
        return {
            "proposer requested": self.proposer.requested, "proposer computed": self.proposer.computed,
            "regions requested": counts.requested, "regions computed": counts.computed, "scores": counts.scores,
            "texts": counts.texts, "cost": float(spent.get("cost", 0.0)),
        }  # fmt: skip

    def table(self, outputs: Sequence[Any], data: DataModule, split: str) -> pd.DataFrame:
        self._count(total_calls(outputs), complete=True)
        samples = data.rows(split).set_index("id", drop=False)
        rows = pd.DataFrame([row for output in outputs for row in output["rows"]])
        own = samples.loc[rows["id"]].reset_index(drop=True)
        frame = rows.assign(split=split, group=own["group"], target=own["target"], **carried_columns(own))
        frame = frame.astype(dict.fromkeys(MEASURED, float))
        order = pd.Categorical(frame["task"], list(dict.fromkeys(frame["task"])), ordered=True)
        frame = frame.iloc[order.argsort(kind="stable")].reset_index(drop=True)
        frame.attrs = {"classes": {}, "slices": data.slice_categories()}
        if self._directory is not None and all(output["keeps"] for output in outputs):
            write_json(self._directory / "cost" / f"{split}.json", total_cost(outputs, frame["id"].nunique()))
            rmtree(self._directory / "partial", ignore_errors=True)
        return frame


def _given(image: NDArray) -> NDArray:
    return image
