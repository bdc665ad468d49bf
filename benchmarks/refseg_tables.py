"""What the loop gains in the sample world, by its words: python -m benchmarks.refseg_tables [--outputs FOLDER]

Makes the runs that the sweeps refseg_arms, refseg_table and refseg_anchors list; those that are done are read. With
--outputs finished runs of another commit are read instead of made.
"""

import argparse
from pathlib import Path

import pandas as pd
from omegaconf import OmegaConf

from benchmarks.fits import CONF, composed, fitted
from benchmarks.results import Cell, count_cell, write_result
from benchmarks.tables import difference_table, holm_sentence, metric_table
from hallmark.engine.job import Job
from hallmark.runs.predictions import read_predictions
from hallmark.runs.run import Run, open_run
from hallmark.storage.files import read_json
from hallmark.systems.refseg.sample.lexicon import CANONICAL, LEXICON
from hallmark.systems.refseg.vlm.words import SYNONYMS, read_texts

ONE_SHOT, LOOP = "one shot", "loop, general table"
ANSWERS = {
    "one shot, crops alone": ("refseg_arms", "crop"),
    ONE_SHOT: ("refseg_arms", "one_shot"),
    LOOP: ("refseg_arms", "normaliser"),
    "loop, general table, one rewriting": ("refseg_table", "loop_1"),
    "loop, general table, three rewritings": ("refseg_table", "loop_3"),
    "loop, table by rule from WordNet": ("refseg_arms", "wordnet"),
    "loop, dictionary of the sample world (upper bound)": ("refseg_arms", "oracle_dictionary (upper bound)"),
    "loop without a rewriter": ("refseg_table", "no_rewriter"),
    "loop, rewriter that keeps the query": ("refseg_arms", "identity"),
    "loop, rewriter that contradicts": ("refseg_arms", "destructive"),
    "loop, rewriter that attacks": ("refseg_arms", "injected"),
}
PERTURBATIONS = {"noise10": "noise of 10", "noise20": "noise of 20", "blur5": "blur of 5", "blur9": "blur of 9"}
PERTURBED = {
    f"{answer}, {title}": ("refseg_table", f"{job}_{name}")
    for answer, job in ((ONE_SHOT, "one_shot"), (LOOP, "loop"))
    for name, title in PERTURBATIONS.items()
}
ANCHORS = {"own anchor": ("refseg_anchors", "own"), "another anchor": ("refseg_anchors", "shuffled")}
METRICS = ("miou", "target_miou", "no_target_accuracy")
COMPARED = METRICS[:2]


def made(sweep: str, job: str, outputs: Path | None) -> Run:
    """The run of a job of a sweep, or the finished one of the same settings in `outputs`."""
    overrides = ["experiment=refseg_loop", *OmegaConf.load(CONF / "sweep" / f"{sweep}.yaml").plan.jobs[job]]
    if outputs is not None:
        stored = Job.of(composed(overrides))
        return open_run(outputs / stored.config.name / stored.id)
    run = fitted(overrides)
    assert isinstance(run, Run)
    return run


def answers(run: Run, task: str = "main") -> pd.DataFrame:
    """One of the answers to the validation expressions, as a table of the task `main`."""
    table = read_predictions(run.directory / "predictions" / "val.parquet")
    rows = table[table["task"] == task].assign(task="main")
    rows.attrs = table.attrs
    return rows


def word_table() -> list[dict[str, Cell]]:
    """What tables of words make of those that training never saw."""
    tables = {
        "general table of the package": read_texts(SYNONYMS, "synonyms"),
        "table by rule from WordNet": read_texts("package:hallmark/systems/refseg/vlm/wordnet.json", "synonyms"),
        "dictionary of the sample world (upper bound)": dict(CANONICAL),
    }
    lines, unseen = [], [word for words in LEXICON.values() for word in words.held_out]
    for name, table in tables.items():
        right = sum(CANONICAL.get(table.get(word, ""), table.get(word)) == CANONICAL[word] for word in unseen)
        counts = {
            "entries": len(table), "unseen words": len(unseen), "mapped to a trained one": right,
            "mapped wrongly": sum(word in table for word in unseen) - right,
        }  # fmt: skip
        lines.append({"words": name, **{title: count_cell(count) for title, count in counts.items()}})
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outputs", type=Path, help="folder of finished runs, which are read and not made again")
    outputs = parser.parse_args().outputs
    runs = {name: made(*job, outputs) for name, job in (ANSWERS | PERTURBED | ANCHORS).items()}
    tables = {name: answers(run) for name, run in runs.items()}
    rows = tables[ONE_SHOT]
    named = {name: tables[name] for name in ANSWERS} | {"best proposal": answers(runs[ONE_SHOT], "oracle")}
    same = [name for name in ANSWERS if name != ONE_SHOT and tables[name]["prediction"].equals(rows["prediction"])]
    differing = [name for name in ANSWERS if name not in (ONE_SHOT, *same)]
    pairs = {f"{name} − {ONE_SHOT}": (tables[name], rows) for name in differing}
    drops = {f"{name} − unperturbed": (tables[name], tables[name.rpartition(",")[0]]) for name in PERTURBED}
    other = {" − ".join(reversed(ANCHORS)): (tables["another anchor"], tables["own anchor"])}
    differences = difference_table(pairs, COMPARED)
    without = int((rows["target_area"] == 0).sum())
    calibrated = read_json(runs[LOOP].directory / "calibration.json")["n"]
    write_result(
        "refseg_sample",
        rows=f"{len(rows):,} expressions of {rows['group'].nunique()} generated images, the validation split; "
        f"{without} have no target, where an empty mask has the IoU 1. Temperature and thresholds are fitted on the "
        f"{calibrated} expressions of the calibration split, other images, the networks on other scenes of the same "
        "generator; settings were chosen with a view of validation rows. The test split is sealed.",
        intervals=f"Intervals resample images and know nothing of other networks. {holm_sentence(differences)}",
        tables={
            "answers": metric_table(named, METRICS, title="answer"),
            "differences": differences,
            "perturbed": metric_table({name: tables[name] for name in PERTURBED}, COMPARED, title="answer"),
            "drops": difference_table(drops, COMPARED),
            "anchors": metric_table({name: tables[name] for name in ANCHORS}, COMPARED, title="relations with"),
            "anchor_difference": difference_table(other, COMPARED),
            "words": word_table(),
        },
        values={
            "expressions": count_cell(len(rows)), "images": count_cell(rows["group"].nunique()),
            "without_target": count_cell(without), "relations": count_cell(len(tables["own anchor"])),
            "same": "; ".join(same),
        },
        runs=list(runs.values()),
    )  # fmt: skip


if __name__ == "__main__":
    main()
