"""Students with a teacher against the same student without one, on the test split of the sample world.

    python -m benchmarks.characters_distil

Three seeds of each, which open the test split once; its record says which row of the table that was for. All have the
settings of their presets, none of which was chosen on these pictures. With --outputs finished sets of another commit
are read instead of fitted.
"""

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.fits import composed, fitted, looked_at
from benchmarks.results import Cell, count_cell, number_cell, spread_cell, write_result
from benchmarks.tables import TITLES, difference_table, holm_sentence, majority, metric_table
from benchmarks.timing import seconds
from hallmark.engine.job import Job
from hallmark.engine.setup import build_module, prepare_data, silence_expected_warnings
from hallmark.runs.repeats import RepeatSet, runs_of
from hallmark.statistics import spread, table_metrics
from hallmark.storage.files import read_csv
from hallmark.systems.characters.distil import TEACHER as TEACHER_LOG
from hallmark.systems.characters.module import CharacterClassifier

SEEDS, ROUNDS, CALLS = 3, 11, 20
# More pictures than the preset's, so that differences show: as many to learn from, and most of the others to measure.
WORLD = ["data.sample.pictures=120", "data.split.val=0.15", "data.split.test=0.45", f"repeat=seeds:{SEEDS}"]
STUDENT = "experiment=characters_distil"
ALONE = [STUDENT, "model/distillation=none", "parents.teacher=null"]
TEACHER, CONTROL, SCALED, KD, DKD = "teacher", "control", "control, loss × 10", "KD", "DKD"
MODELS = {
    TEACHER: ["experiment=characters_classifier"],
    CONTROL: [*ALONE, "model.cross_entropy=1"],
    SCALED: [*ALONE, "model.cross_entropy=10"],  # the weights of DKD: 1 + α + β
    KD: [STUDENT, "model/distillation=kd"],
    DKD: [STUDENT, "model/distillation=dkd"],
}
NETWORKS = {
    "of the sample profile": [],
    "EfficientNet-B0 and MobileNetV2, 224 px": ["model.encoder.image_size=224"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--outputs", type=Path, help="folder of finished sets, which are read and not made again")
    parser.add_argument("--only", nargs="+", default=list(MODELS), help="models to fit, without measuring them")
    arguments = parser.parse_args()
    silence_expected_warnings()
    results: dict[str, RepeatSet] = {}
    for name in arguments.only:
        result = fitted([*MODELS[name], *WORLD], arguments.outputs)
        assert isinstance(result, RepeatSet)
        results[name] = result
    if len(results) < len(MODELS):
        return
    tables, spreads = {}, []
    for name, result in results.items():
        reason = f"row of the benchmark's table: {name}"
        of_seeds = looked_at(runs_of(result), arguments.outputs, reason=reason)
        tables[name] = result.pooled(of_seeds)
        accuracies = [float(table_metrics(table)["main"]["accuracy"] or 0.0) for table in of_seeds]
        spreads.append({"model": name, "mean ± standard deviation over seeds": spread_cell(spread(accuracies))})
    pairs = [(KD, CONTROL), (DKD, CONTROL), (DKD, SCALED), (SCALED, CONTROL), (DKD, KD)]
    differences = difference_table({f"{a} − {b}": (tables[a], tables[b]) for a, b in pairs}, ["accuracy"])
    first = tables[TEACHER].query("member == 0")  # every seed has the same rows
    rows_of_table = {"majority class": majority(tables[TEACHER]), **tables}
    write_result(
        "characters_distil",
        rows=f"{len(first)} test pictures in {first['group'].nunique()} groups of the sample world; validation rows "
        f"selected the epoch. The teacher of all students is that of seed 0.",
        intervals=f"Intervals resample groups of pictures and the {SEEDS} seeds. {holm_sentence(differences)}",
        tables={
            "models": metric_table(rows_of_table, ["accuracy", "macro_f1"]),
            "spreads": spreads,
            "differences": differences,
            "teacher": teacher_table(results[KD]),
            "networks": [network_row(name, overrides) for name, overrides in NETWORKS.items()],
        },
        runs=[run for result in results.values() for run in runs_of(result)],
    )


def teacher_table(result: RepeatSet) -> list[dict[str, Cell]]:
    """What the fits of `result` have noted of their teacher."""
    log = read_csv(runs_of(result)[0].directory / f"{TEACHER_LOG}.csv")
    return [
        {"rows": row["split"], "n": count_cell(row["rows"]), TITLES["accuracy"]: number_cell(row["accuracy"], 3),
         "entropy": number_cell(row["entropy"], 3, " nats"),
         "entropy, softened": number_cell(row["softened_entropy"], 3, " nats")}
        for row in log.to_dict("records")
    ]  # fmt: skip


def network_row(name: str, overrides: Sequence[str]) -> dict[str, Cell]:
    """Size and time of both networks with random weights, which cost as much as trained ones.

    Processor time of a picture alone, one thread. The networks take turns; the ratio stands with the second smallest
    and the second largest of all rounds, which hold its median in 98 % of all cases.
    """
    published = {"student": "mobilenetv2_100", "teacher": "efficientnet_b0"} if overrides else {}
    presets = {"student": ALONE, "teacher": MODELS[TEACHER]}
    built = {
        part: network([*preset, *overrides, *([f"model.encoder.name={published[part]}"] if published else [])])
        for part, preset in presets.items()
    }
    size = built["student"].encoder.image_size
    pixels = torch.randint(0, 256, (1, 3, size, size), dtype=torch.uint8)
    torch.set_num_threads(1)

    def calls(module: CharacterClassifier) -> None:
        with torch.inference_mode():
            for _ in range(CALLS):
                module({"image": pixels})

    spent: dict[str, list[float]] = {part: [] for part in built}
    for _ in range(ROUNDS + 1):
        for part, module in built.items():
            spent[part].append(seconds(lambda: calls(module)) / CALLS)  # noqa: B023
    times = {part: values[1:] for part, values in spent.items()}  # the first is for caches
    ratios = sorted(s / t for s, t in zip(times["student"], times["teacher"], strict=True))
    ratio, low, high = statistics.median(ratios), ratios[1], ratios[-2]
    cells: dict[str, Cell] = {"networks": name}
    for part, module in built.items():
        parameters = sum(parameter.numel() for parameter in module.parameters())
        cells[f"{part}: parameters"] = number_cell(parameters / 1e6, 2, " M")
        cells[f"{part}: file"] = number_cell(file_size(module) / 1e6, 1, " MB")
        cells[f"{part}: time"] = number_cell(1e3 * statistics.median(times[part]), 1, " ms")
    text = f"{ratio:.2f}× [{low:.2f}, {high:.2f}]"
    return {**cells, "student / teacher": {"text": text, "value": ratio, "low": low, "high": high}}


def network(overrides: Sequence[str]) -> CharacterClassifier:
    job = Job.of(composed(overrides))
    module = build_module(job, prepare_data(job))
    assert isinstance(module, CharacterClassifier)
    return module.eval()


def file_size(module: CharacterClassifier) -> int:
    with tempfile.NamedTemporaryFile() as file:
        torch.save(module.state_dict(), file.name)
        return Path(file.name).stat().st_size


if __name__ == "__main__":
    main()
