"""How soon the configuration path answers: python -m benchmarks.startup"""

import subprocess
import sys

from benchmarks.results import number_cell, write_result
from benchmarks.timing import alternate

REPEATS = 9
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import hydra": ["-c", "import hydra"],
    "train.py --help": ["train.py", "--help"],
    "train.py --cfg job": ["train.py", "experiment=clip_final", "--cfg", "job"],
    "misspelled key": ["train.py", "experiment=clip_final", "model.optimizer.lrr=1"],
    "misspelled preset": ["train.py", "experiment=clip_fnal"],
    "hallmark runs --help": ["-m", "hallmark.console", "runs", "--help"],
    "import torch": ["-c", "import torch"],
}


def main() -> None:
    def start(arguments: list[str]) -> None:
        subprocess.run([sys.executable, *arguments], capture_output=True, check=False)

    medians = alternate({name: lambda a=arguments: start(a) for name, arguments in COMMANDS.items()}, repeats=REPEATS)  # type: ignore[misc]
    write_result(
        "startup",
        rows=f"Processor time, median of {REPEATS} starts, the commands by turns.",
        intervals="",
        tables={"commands": [{"command": name, "seconds": number_cell(s, 2)} for name, s in medians.items()]},
    )


if __name__ == "__main__":
    main()
