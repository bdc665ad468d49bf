"""What a loss balancing method costs a training step, relative to equal weights: python -m benchmarks.balancing

Every side is an epoch of the joint touch preset on the same batches; only the balancer differs.
"""

import tempfile
from functools import partial
from pathlib import Path

from benchmarks.fits import CONF
from benchmarks.results import Cell, number_cell, write_result
from benchmarks.step_overhead import prepared
from benchmarks.steps import hallmark_fit
from benchmarks.timing import alternate
from hallmark.engine.setup import silence_expected_warnings

REFERENCE = "equal"
REPEATS = 5


def main() -> None:
    silence_expected_warnings()
    methods = sorted(path.stem for path in (CONF / "model" / "balance").glob("*.yaml"))
    with tempfile.TemporaryDirectory() as scratch:
        sides, steps = {}, 0
        for method in methods:
            job, data, module = prepared(["experiment=touch_balanced", f"model/balance={method}"])
            steps = len(data.train_dataloader())
            sides[method] = partial(hallmark_fit, module, data, job, Path(scratch))
        alternate(sides, repeats=1)
        medians = alternate(sides, repeats=REPEATS)
    rows: list[dict[str, Cell]] = [
        {
            "balance": method,
            "a step": number_cell(medians[method] / steps * 1e3, 2, " ms"),
            f"against {REFERENCE}": number_cell(medians[method] / medians[REFERENCE], 2, "×"),
        }
        for method in methods
    ]
    write_result(
        "balancing",
        rows="Processor time of a training step of the joint touch preset: "
        f"median of {REPEATS} epochs, all methods by turns.",
        intervals="",
        tables={"methods": rows},
    )


if __name__ == "__main__":
    main()
