"""All presets in the sample profile as a Markdown table: python -m benchmarks.sentiment_sample

Runs that are done are read, not made again.
"""

from pathlib import Path

from hydra import compose, initialize_config_dir

from benchmarks.tables import differences, majority, results
from hallmark.engine.job import Job
from hallmark.engine.train import train
from hallmark.runs.predictions import read_predictions
from hallmark.runs.run import open_run

CONF = Path(__file__).parents[1] / "conf"
PRESETS = (
    "sentiment_tfidf",
    "sentiment_image",
    "sentiment_text",
    "sentiment_late",
    "sentiment_gated",
    "clip_probe",
    "clip_lora",
    "clip_baseline",
    "clip_optimize",
    "clip_final",
)


def main() -> None:
    predictions, minutes = {}, {}
    for preset in PRESETS:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("train", [f"experiment={preset}", "callbacks.progress=null"])
        train(config)
        run = open_run(Job.of(config).directory)
        assert run.record is not None
        predictions[preset] = read_predictions(run.directory / "predictions" / "val.parquet")
        minutes[preset] = run.record.wall_seconds / 60
    every = {"majority class": majority(predictions["clip_final"]), **predictions}
    print("\n".join([*results(every, minutes), "", *differences(predictions, "clip_final")]))


if __name__ == "__main__":
    main()
