"""What figures show, and data for them."""

import numpy as np
from matplotlib.collections import LineCollection

F1, LOSS = "val/macro_f1", "val/loss"


def by_label(ax):
    handles, labels = ax.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def points(collection):
    return np.asarray(collection.get_offsets()).tolist()


def sentence(figure):
    (ax,) = figure.axes
    assert not ax.lines and not ax.collections
    return ax.texts[0].get_text().replace("\n", " ")


def lines(figure):
    """[N, axes] heights from the worst trial to the best, and the values that are colored."""
    (ax,) = figure.axes
    (collection,) = [artist for artist in ax.collections if isinstance(artist, LineCollection)]
    best = next(line for line in ax.lines if line.get_label().startswith("best of"))
    others = [segment[:, 1] for segment in collection.get_segments()]
    return np.array([*others, best.get_ydata()]), np.asarray(collection.get_array())


class Recordings:
    """Data of signals; a sample's signal [2, 5] is its position, the second channel of the first sample is missing."""

    def __init__(self, predictions, channels):
        self.samples = predictions.drop_duplicates("id").reset_index(drop=True)
        self.channels = channels

    def rows(self, split):
        return self.samples[self.samples["split"] == split].reset_index(drop=True)

    def series(self, split, positions):
        if self.channels is None:
            return None
        signals = np.array(positions, dtype=float)[:, None, None] + np.zeros((1, len(self.channels), 5))
        signals[[position == 0 for position in positions], 1] = np.nan
        return signals, self.channels, 2.0
