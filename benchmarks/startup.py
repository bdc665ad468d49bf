"""How soon a command answers, says that all is done, or begins its first step: python -m benchmarks.startup"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.results import number_cell, write_result
from benchmarks.timing import alternate

REPEATS, STEP_REPEATS = 7, 3
BARE = "import torch, lightning"
_SMALL = ["data.sample.rows=120", "data.sample.unlabelled=20", "callbacks.progress=null"]
_TFIDF = ["experiment=sentiment_tfidf", *_SMALL]
_FIRST_STEP = [
    "rerun=true", "trusted_packages=[benchmarks]", "callbacks.progress._target_=benchmarks.first_step.FirstStep",
    "~callbacks.progress.leave", "+callbacks.progress.file=null",
]  # fmt: skip
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
FINISHED = {
    "a run": ["train.py", *_TFIDF, "seed=1"],
    "a grid of four runs": ["train.py", "-m", *_TFIDF, "seed=1,2,3,4"],
    "a sweep of two trials": ["sweep.py", *_TFIDF, "sweep=grid", "sweep.space={model.inverse_regularisation: [1, 2]}"],
    "an evaluation": ["evaluate.py", "run={outputs}/sentiment_tfidf/latest"],
}
FIRST_STEPS = {
    BARE: ["-c", f"{BARE}, os; os._exit(0)"],  # as a first step ends: to take modules down costs a second
    "sentiment_tfidf": ["train.py", "experiment=sentiment_tfidf", *_FIRST_STEP],
    "clip_final": ["train.py", "experiment=clip_final", *_FIRST_STEP],
    "touch_balanced": ["train.py", "experiment=touch_balanced", *_FIRST_STEP],
    "refseg_loop": ["evaluate.py", "experiment=refseg_loop", *_FIRST_STEP],
}


def main() -> None:
    with TemporaryDirectory() as folder:
        outputs = Path(folder, "outputs")

        def start(arguments: Sequence[str], *, check: bool = True) -> None:
            arguments = [text.replace("{outputs}", str(outputs)) for text in arguments]
            environment = {**os.environ, "HALLMARK_OUTPUTS": str(outputs), "OMP_NUM_THREADS": "1"}
            subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, check=check)

        def medians(commands: dict[str, list[str]], repeats: int, *, check: bool) -> dict[str, float]:
            actions = {name: lambda a=arguments: start(a, check=check) for name, arguments in commands.items()}
            return alternate(actions, repeats=repeats)

        answers = medians(COMMANDS, REPEATS, check=False)
        medians({name: FINISHED[name] for name in list(FINISHED)[1:]}, 1, check=True)  # and the data are generated
        finished = medians(FINISHED, REPEATS, check=True)
        medians(dict(list(FIRST_STEPS.items())[2:]), 1, check=True)
        steps = medians(FIRST_STEPS, STEP_REPEATS, check=True)
    write_result(
        "startup",
        rows=f"Processor time, the commands by turns: median of {REPEATS} starts, of {STEP_REPEATS} to a first step. "
        "A first step ends the import, the reading, the check and the split of the data, and the building of the "
        "model; the data were generated before.",
        intervals="",
        tables={
            "commands": [{"command": name, "seconds": number_cell(s, 2)} for name, s in answers.items()],
            "finished": [{"typed again": name, "seconds": number_cell(s, 2)} for name, s in finished.items()],
            "first_step": [
                {
                    "until the first step of": name,
                    "seconds": number_cell(s, 2),
                    "ratio": number_cell(s / steps[BARE], 2, "×"),
                }
                for name, s in steps.items()
            ],
        },
    )


if __name__ == "__main__":
    main()
