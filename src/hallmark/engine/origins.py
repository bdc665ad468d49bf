"""Weights that were trained on generated data, where they meet other data."""

from pathlib import Path

from hallmark.data.module import DataModule
from hallmark.engine.config.parents import key_of
from hallmark.engine.job import Job
from hallmark.learning.encoders.weights import trained_on
from hallmark.learning.module import PredictingModule
from hallmark.storage.files import write_text
from hallmark.wording import listed


def foreign_weights(job: Job, module: PredictingModule, data: DataModule) -> list[str]:
    """A sentence for each generated data set that weights of the model were trained on, unless `data` is that."""
    parents = {key_of(role): trained_on(parent.best) for role, parent in job.parents.items()}
    origins = {**module.trained_on, **{key: origin for key, origin in parents.items() if origin}}
    sentences = []
    for origin in sorted({origin for origin in origins.values() if origin != data.generated}):
        names = listed([name for name, source in origins.items() if source == origin])
        sentences.append(
            f"{names}: these weights were trained on {origin} alone, and {data.metadata()['source']} is other data. "
            "Answers there are guesses, however high their confidence; profile=full takes published weights"
        )  # fmt: skip
    return sentences


def write_warnings(labels: Path, sentences: list[str]) -> None:
    """Write `sentences` beside the file `labels`, whose format may be fixed; removes what stood there before."""
    beside = labels.with_name(f"{labels.stem}.warning.txt")
    if sentences:
        write_text(beside, "".join(f"{sentence}\n" for sentence in sentences))
    else:
        beside.unlink(missing_ok=True)
