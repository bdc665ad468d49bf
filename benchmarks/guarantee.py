"""How often a threshold breaks what it promises, exact and in draws: python -m benchmarks.guarantee

Scores of a class are drawn as uniform ones, of which a threshold leaves its own value below it. Beside the guaranteed
rank stands the quantile that leaves at most the promised share of the drawn scores below it, k = floor(rate * n) + 1.
"""

import argparse
import math
from itertools import product

import numpy as np

from benchmarks.results import Cell, count_cell, number_cell, write_result
from hallmark.statistics.guarantee import guaranteed_rank, needed_scores, violation_probability

DRAWS, RISK = 10_000, 0.05
SIZES, RATES = (59, 156, 299, 1000), (0.01, 0.02, 0.05)


def share_cell(share: float) -> Cell:
    return {"text": f"{100 * share:.1f} %", "value": round(share, 6)}


def rows_of(n: int, rate: float, draws: np.ndarray) -> tuple[dict[str, Cell], dict[str, float]]:
    """The row of the table for n scores [D, n], sorted, and a promised rate; and how many standard errors the draws of
    each kind of threshold lie from the binomial."""
    row: dict[str, Cell] = {
        "scores and share": f"{n:,} scores, {100 * rate:g} %", "scores needed": count_cell(needed_scores(rate, RISK))
    }  # fmt: skip
    deviations = {}
    for kind, k in (("guaranteed", guaranteed_rank(n, rate, RISK)), ("quantile", math.floor(rate * n) + 1)):
        names = f"{kind} k", f"{kind}: exact", f"{kind}: of the draws"
        if k == 0:
            row |= dict.fromkeys(names, "refused")
            continue
        exact, drawn = violation_probability(n, k, rate), float((draws[:, k - 1] > rate).mean())
        deviations[kind] = abs(drawn - exact) / math.sqrt(exact * (1 - exact) / len(draws))
        row |= dict(zip(names, (count_cell(k), share_cell(exact), share_cell(drawn)), strict=True))
    return row, deviations


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    table, furthest = [], {"guaranteed": 0.0, "quantile": 0.0}
    for n, rate in product(SIZES, RATES):
        rng = np.random.default_rng([n, round(1000 * rate)])
        row, deviations = rows_of(n, rate, np.sort(rng.random((DRAWS, n)), axis=1))
        table.append(row)
        furthest |= {kind: max(furthest[kind], deviation) for kind, deviation in deviations.items()}
    write_result(
        "guarantee",
        rows=f"{DRAWS:,} draws of uniform scores of each size; the risk that is promised is {100 * RISK:g} %.",
        intervals="",
        tables={"violations": table},
        values={f"furthest_{kind}": number_cell(deviation, 1) for kind, deviation in furthest.items()},
    )


if __name__ == "__main__":
    main()
