"""The predictions table of a detector: its frames, and the videos that they are of."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hallmark.data.module import DataModule
from hallmark.learning.tables import classification_table
from hallmark.runs.metrics import MAIN
from hallmark.runs.predictions import SEEN
from hallmark.systems.deepfake.pooling import pool

VIDEO = "video"
"""The task of the rows that are videos; that of the frames is `main`."""

FAKE = 1
"""Position of the class `fake` in [real, fake]: `probabilities[:, FAKE]` is the score of a frame and of a video."""


def detection_table(outputs: Sequence[Any], data: DataModule, split: str, pooling: str) -> pd.DataFrame:
    """One row a frame (task `main`), then one row a video (task `video`).

    Args:
        outputs: of the batches in their order, each with `probabilities` {main: [B, 2]}.
        pooling: how a video's P(fake) comes from its frames, of `pool`.
    """
    frames = classification_table(outputs, data, split)
    video = data.rows(split)["video"]
    codes, names = pd.factorize(video)
    fake = pool(np.array(frames["probabilities"].tolist())[:, FAKE], codes, len(names), pooling)
    return with_videos(frames, video, fake)


def with_videos(frames: pd.DataFrame, video: "pd.Series[str]", fake: NDArray) -> pd.DataFrame:
    """A table of frames followed by its videos, whose `id` is the video and whose `group` is that of their frames.

    A video has the slices of its frames and of the `info_*` columns those that all its frames share, of `SEEN` the
    splits of all of them; `info_frames` counts them.

    Args:
        video: of each frame, [N].
        fake: P(fake) of the videos, [V], in the order in which they first appear.
    """
    codes, names = pd.factorize(video)
    of_video = frames.groupby(codes, sort=True)
    carried = [name for name in map(str, frames) if name.startswith(("slice_", "info_"))]
    shared = [name for name in carried if name.startswith("slice_") or (of_video[name].nunique() <= 1).all()]
    columns = {name: of_video[name].first() for name in shared}
    if SEEN in frames:
        columns[SEEN] = of_video[SEEN].agg(lambda splits: ", ".join(sorted(set(splits) - {""})))
    classes = np.array(frames.attrs["classes"][MAIN], dtype=object)
    target, top = of_video["target"].first(), (fake > 0.5).astype(int)
    videos = pd.DataFrame({
        "id": np.asarray(names, dtype=object), "split": of_video["split"].first(), "task": VIDEO,
        "group": of_video["group"].first(), "target": target, "prediction": classes[top],
        "confidence": np.maximum(fake, 1 - fake), "probabilities": list(np.stack([1 - fake, fake], axis=1)),
        "score": pd.Series((classes[top] == target).astype(float)).where(target.notna()),
        **columns, "info_frames": of_video.size(),
    })  # fmt: skip
    table = pd.concat([frames, videos], ignore_index=True)
    table.attrs = {**frames.attrs, "classes": {MAIN: [*classes], VIDEO: [*classes]}}
    return table
