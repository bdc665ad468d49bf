"""How every interval of a report is made."""

from typing import Any

LEVEL, REPEATS, SEED = 0.95, 1000, 0
PERMUTATIONS = 2000
PERCENT = f"{100 * LEVEL:g} %"
RESAMPLING: dict[str, Any] = {"level": LEVEL, "repeats": REPEATS, "seed": SEED}
