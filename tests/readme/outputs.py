"""What the README says that a command leaves."""

import re
import shlex
from pathlib import Path

_EVERY_RUN = [
    "config.yaml",
    "record.json",
    "metrics.json",
    "predictions/*.parquet",
    "splits.csv",
]
_FIT = ["history.csv", "checkpoints/best.ckpt", "figures/*.png", "figures/*.pdf"]
_FIT_OF = {
    "sentiment_tfidf": [],
    "characters_incremental": [],
    "deepfake_cascade": ["state/fitted.safetensors", "thresholds.csv"],
}
_SET = ["config.yaml", "repeats.json", "runs.csv", "metrics.json"]
_SWEEP = ["summary.json", "trials.csv", "figures/*.png"]
_REPORT = ["report.md", "report.html"]


def missing(command: str, outputs: Path, *, since: float) -> list[str]:
    """Patterns of the files that `command` should have left below `outputs`, and did not.

    Args:
        since: seconds of the epoch when the command was started; analyses, reports and releases are newer.
    """
    words = shlex.split(command)
    settings = dict(word.split("=", 1) for word in words if "=" in word)
    patterns: list[str] = []
    newer: list[str] = []
    if "train.py" in command or command.startswith("make train"):
        name = settings.get("experiment", "clip_final")
        folder = settings.get("paths.run_dir", f"outputs/{name}/*").removeprefix("outputs/")
        files = _SET if "repeat" in settings else [*_EVERY_RUN, *_FIT_OF.get(name, _FIT)]
        patterns = [f"{folder}/{file}" for file in files]
    elif "evaluate.py" in command:
        name, unlabeled = settings.get("experiment"), settings.get("split") == "predict"
        folder = f"{name}/*" if name else settings["run"].removeprefix("outputs/")
        folder = re.sub(r"latest$|<id>$", "*", folder)
        measured = [file for file in _EVERY_RUN if not (unlabeled and file == "metrics.json")]
        patterns = [f"{folder}/{file}" for file in measured] if name else []
        analyses = settings.get("analysis", "[]").strip("[]")
        newer = [f"{folder}/*/{analysis}*" for analysis in analyses.split(",") if analysis]
        if unlabeled:
            newer.append(f"{folder}/{'answers.csv' if name else 'test_with_label.txt'}")
    elif "sweep.py" in command:
        patterns = [f"{settings['experiment']}/sweeps/{settings['sweep']}-*/{file}" for file in _SWEEP]
    elif command.startswith(("hallmark predict", "hallmark extract")):
        newer = [Path(words[-1]).relative_to("outputs").as_posix()]
    elif command.startswith("hallmark report"):
        newer = [f"**/report/{file}" for file in _REPORT]
    elif command.startswith("hallmark release") and "--verify" not in command:
        newer = ["*/*.zip", "*/RESULTS.md"]
    return [
        pattern
        for required, moment in ((patterns, 0.0), (newer, since - 1))
        for pattern in required
        if not any(path.stat().st_mtime >= moment for path in outputs.glob(pattern))
    ]
