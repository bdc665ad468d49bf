"""The sample recordings on disk: who did what in which state, and the files that hold it."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hallmark.checks import require
from hallmark.data.generated import generated
from hallmark.storage.files import write_csv
from hallmark.systems.touch.manifest import MANIFEST
from hallmark.systems.touch.sample.body import ACTIONS, CHANNELS, RATE, SCENES, STATES, draw_person, draw_signals
from hallmark.systems.touch.sample.pressure import FRAME_RATE, draw_frames

VERSION = 1
FORMATS = {"npz": 0.6, "csv.gz": 0.2, "parquet": 0.2}
SHORTEST, LONGEST = 20.0, 30.0  # seconds of a recording
NO_FRAMES_SHARE = 0.3
NO_STATE_SHARE = 0.04
DROPOUT_SHARE = 0.35
GAP_SHARE = 0.3  # of the files that have a time column
LOST_CHANNEL_EVERY = 6  # one person of so many wears a device without one of these:
LOSABLE = ("eda", "temp")
MINIMUM_SUBJECTS = 8
# Independent random streams of one row: its signals stay when, say, the drop-outs change.
_PERSON, _LATENT, _SIGNALS, _FRAMES, _DAMAGE, _FILE, _ORDER = range(1, 8)


def _stream(seed: int, row: int, stream: int) -> np.random.Generator:
    return np.random.default_rng((seed, row, stream))


def _damaged(rng: np.random.Generator, signals: NDArray) -> tuple[NDArray, bool]:
    """Signals [T, C] with nan for at times a second to six in which some sensors lost contact."""
    if rng.random() >= DROPOUT_SHARE:
        return signals, False
    lost = rng.choice(len(CHANNELS), int(rng.integers(1, 4)), replace=False)
    start, length = rng.integers(len(signals)), int(RATE * rng.uniform(1, 6))
    damaged = signals.copy()
    damaged[start : start + length, lost] = np.nan
    return damaged, True


def _write_signals(
    folder: Path, name: str, signals: NDArray, channels: list[str], rng: np.random.Generator
) -> tuple[str, bool]:
    """Write one file, in a format and at times with a gap as `rng` draws; its path and whether it has a gap."""
    kind = str(rng.choice(list(FORMATS), p=list(FORMATS.values())))
    path = f"signals/{name}.{kind}"
    signals = signals[:, [CHANNELS.index(channel) for channel in channels]]
    if kind == "npz":
        np.savez_compressed(folder / path, signals=signals, channels=np.array(channels), rate=np.float64(RATE))
        return path, False
    table = pd.DataFrame(signals, columns=channels)
    table.insert(0, "t", np.arange(len(signals)) / RATE)
    gap = bool(rng.random() < GAP_SHARE)
    if gap:
        start = int(rng.integers(len(table) // 4, len(table) // 2))
        table = table.drop(index=range(start, start + int(RATE * rng.uniform(0.5, 3))))
    if kind == "parquet":
        table.to_parquet(folder / path, index=False)
    else:
        archive = {"method": "gzip", "mtime": 0}
        table.to_csv(folder / path, index=False, float_format="%.5g", lineterminator="\n", compression=archive)
    return path, gap


def _recording(folder: Path, seed: int, row: int, subject: int, *, labelled: bool) -> tuple[dict[str, str], list[str]]:
    """Write the files of recording `row`; its line of the manifest, and what is special about it."""
    person = draw_person(_stream(seed, subject, _PERSON))
    latent = _stream(seed, row, _LATENT)
    action = str(latent.choice(list(ACTIONS), p=person.actions))
    aroused = bool(latent.random() < person.aroused)
    scene, seconds = str(latent.choice(SCENES)), float(latent.uniform(SHORTEST, LONGEST))
    time = np.arange(round(seconds * RATE)) / RATE
    signals = draw_signals(_stream(seed, row, _SIGNALS), person, action=action, aroused=aroused, scene=scene, time=time)
    signals, dropout = _damaged(_stream(seed, row, _DAMAGE), signals)
    lost = LOSABLE[subject // LOST_CHANNEL_EVERY % 2] if subject % LOST_CHANNEL_EVERY == 2 else ""
    file, name = _stream(seed, row, _FILE), f"r{row:03d}"
    path, gap = _write_signals(folder, name, signals, [channel for channel in CHANNELS if channel != lost], file)
    frames = f"frames/{name}.npz" if file.random() >= NO_FRAMES_SHARE else ""
    if frames:
        frame_stream = _stream(seed, row, _FRAMES)
        pressure = draw_frames(frame_stream, action=action, tempo=person.tempo, seconds=seconds)
        np.savez_compressed(folder / frames, frames=pressure, rate=np.float64(FRAME_RATE))
    state = STATES[aroused] if file.random() >= NO_STATE_SHARE else ""
    line = {
        "id": name, "subject": f"P{subject + 1:02d}", "scene": scene, "action": action if labelled else "",
        "state": state if labelled else "", "signals": path, "frames": frames,
    }  # fmt: skip
    facts = {"dropout": dropout, "gap": gap, f"without_{lost}": bool(lost), "without_frames": not frames}
    return line, [fact for fact, holds in facts.items() if holds]


def _build(folder: Path, *, subjects: int, recordings: int, unlabelled: int, seed: int) -> Counter[str]:
    """Fill `folder` and count what is in it."""
    for name in ("signals", "frames"):
        (folder / name).mkdir(parents=True)
    total = subjects * recordings
    bare = set(_stream(seed, 0, _ORDER).permutation(total)[:unlabelled].tolist())
    lines, counts = [], Counter[str]()
    for row in range(total):
        line, facts = _recording(folder, seed, row, row // recordings, labelled=row not in bare)
        lines.append(line)
        counts.update([*facts, f"action_{line['action']}", f"state_{line['state']}"])
    write_csv(folder / MANIFEST, pd.DataFrame(lines), exact=True)
    return counts


def generate(folder: Path, *, subjects: int, recordings: int, unlabelled: int, seed: int) -> Path:
    """Write generated recordings in the layout of `read_manifest`, and return `folder`.

    Each of the `subjects` has `recordings` of 20 to 30 s: six channels at 16 Hz, for most also pressure frames of
    16×16 at 4 Hz. `unlabelled` recordings have neither action nor state, a few others no state. People differ in
    level, gain, tempo, how their sensor sits, and in how often they do what; so does each recording, which is why
    windows split at random are easier than those of unseen people. The same arguments give the same bytes.

    `sample.json` records the arguments and is there only when everything else is: a complete folder is left alone,
    and the recordings appear under its name in one step, whoever else writes them too.

    Raises:
        ValueError: an argument is out of range, or `folder` already holds something else.
    """
    arguments = {"subjects": subjects, "recordings": recordings, "unlabelled": unlabelled, "seed": seed}
    minima = {"subjects": MINIMUM_SUBJECTS, "recordings": 1, "unlabelled": 0, "seed": 0}
    for name, least in minima.items():
        require(arguments[name] >= least, name, arguments[name], f"must be at least {least}")
    total = subjects * recordings
    require(unlabelled < total, "unlabelled", unlabelled, f"must be below {total}, the number of recordings")
    return generated(folder, arguments, VERSION, lambda built: _build(built, **arguments))
