"""Six body signals at 16 Hz of a person who does something in some state."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

RATE = 16.0
CHANNELS = ("bvp", "eda", "temp", "acc_x", "acc_y", "acc_z")
ACTIONS = {"rest": 0.26, "stroke": 0.24, "tap": 0.20, "press": 0.17, "pinch": 0.13}
STATES = ("calm", "aroused")
SCENES = ("desk", "sofa", "stand")
_GRAVITY = {"desk": (0.0, 0.0, 1.0), "sofa": (0.4, 0.1, 0.9), "stand": (0.1, 0.9, 0.4)}
_TREMOR_POLES = [1, -0.6]


@dataclass(frozen=True)
class Person:
    """What makes the signals of one person theirs.

    Attributes:
        pulse: heart rate at rest in Hz; `tempo` a factor on the speed of all movements.
        bvp_gain, acc_gain: of the sensors on this person; `force` by action, how strongly each is done.
        eda, temp: levels in µS and °C.
        turn: [3, 3], how the sensor sits on the wrist.
        actions, aroused: how often this person does each action, and is aroused.
        reaction: factor on all effects of the state.
    """

    pulse: float
    tempo: float
    bvp_gain: float
    acc_gain: float
    force: dict[str, float]
    eda: float
    temp: float
    turn: NDArray
    actions: NDArray
    aroused: float
    reaction: float


def draw_person(rng: np.random.Generator) -> Person:
    shares = np.array(list(ACTIONS.values()))
    return Person(
        pulse=rng.uniform(0.95, 1.45), tempo=rng.lognormal(0, 0.16), bvp_gain=rng.lognormal(0, 0.5),
        acc_gain=rng.lognormal(0, 0.35), force={action: rng.lognormal(0, 0.2) for action in ACTIONS},
        eda=rng.lognormal(0.3, 0.7), temp=rng.normal(32.5, 1.2), turn=_turn(rng),
        actions=0.45 * shares + 0.55 * rng.dirichlet(3 * shares), aroused=rng.beta(1.6, 2.2),
        reaction=rng.uniform(0.3, 1.05),
    )  # fmt: skip


def _turn(rng: np.random.Generator) -> NDArray:
    """A random orthogonal matrix, not far from the identity."""
    q, r = np.linalg.qr(np.eye(3) + 0.55 * rng.standard_normal((3, 3)))
    return q * np.sign(np.diag(r))


def draw_signals(
    rng: np.random.Generator, person: Person, *, action: str, aroused: bool, scene: str, time: NDArray
) -> NDArray:
    """float32 [len(time), 6] in the order of `CHANNELS`."""
    effect = person.reaction * aroused
    speed = person.tempo * rng.lognormal(0, 0.12)
    force = person.force[action] * rng.lognormal(0, 0.25)
    motion = force * movement(action, speed * time + rng.uniform(0, 4), rng)
    # Tremor is low-pass noise over the wrist's own movement; gravity says how the person sits or stands.
    tremor = lfilter([1], _TREMOR_POLES, rng.standard_normal(motion.shape), axis=0)
    tremor *= 0.045 * (1 + 0.35 * effect) * rng.lognormal(0, 0.25)
    posture = np.array(_GRAVITY[scene]) + 0.12 * rng.standard_normal(3)
    acceleration = person.acc_gain * (motion + tremor + posture) @ person.turn.T
    bvp = _pulse_wave(rng, person, effect, time) + 0.35 * motion.sum(axis=1)
    eda = _eda(rng, person, effect, time)
    level = person.temp + 0.35 * rng.standard_normal() - 0.3 * effect
    drift = (0.01 * rng.standard_normal() - 0.004 * effect) * time
    temperature = level + drift + 0.03 * rng.standard_normal(len(time))
    return np.column_stack([person.bvp_gain * 20 * bvp, eda, temperature, acceleration]).astype(np.float32)


def movement(action: str, phase: NDArray, rng: np.random.Generator) -> NDArray:
    """Acceleration [T, 3] of the hand before the sensor is turned; `phase` is time in seconds at one's own tempo."""
    x, y, z = np.zeros((3, len(phase)))
    irregular = phase + 0.12 * np.cumsum(rng.standard_normal(len(phase))) / RATE
    match action:
        case "stroke":
            x = 0.22 * np.sin(2 * np.pi * 0.7 * irregular)
            y = 0.10 * np.cos(2 * np.pi * 0.7 * irregular)
        case "tap":
            z = 0.55 * _bursts(irregular, 0.55)
            y = 0.12 * _bursts(irregular, 0.55)
        case "pinch":
            y = 0.40 * (_bursts(irregular, 1.5) + _bursts(irregular + 0.35, 1.5))
            z = 0.15 * _bursts(irregular, 1.5)
        case "press":
            cycle = (irregular % 3.2) / 3.2
            z = 0.30 * np.clip(4 * cycle, 0, 1) * (cycle < 0.75)
            x = 0.06 * np.sin(2 * np.pi * 0.35 * irregular)
    return np.stack([x, y, z], axis=1)


def _bursts(phase: NDArray, period: float) -> NDArray:
    """Short decaying knocks of alternating sign."""
    since = phase % period
    return np.exp(-since / 0.08) * np.cos(2 * np.pi * 5 * since)


def _pulse_wave(rng: np.random.Generator, person: Person, effect: float, time: NDArray) -> NDArray:
    rate = person.pulse * (1 + 0.09 * effect) * rng.lognormal(0, 0.05)
    variability = 0.06 * (1 - 0.3 * effect) * np.sin(2 * np.pi * 0.25 * time + rng.uniform(0, 6))
    phase = 2 * np.pi * (rate * time + variability) + rng.uniform(0, 6)
    amplitude = (1 - 0.12 * effect) * rng.lognormal(0, 0.15)
    return amplitude * (np.sin(phase) + 0.4 * np.sin(2 * phase + 0.8)) + 0.3 * rng.standard_normal(len(time))


def _eda(rng: np.random.Generator, person: Person, effect: float, time: NDArray) -> NDArray:
    """A level with skin conductance responses, more of them when aroused."""
    level = person.eda * rng.lognormal(0, 0.22) * (1 + 0.15 * effect)
    onsets = rng.uniform(-5, time[-1], rng.poisson((0.08 + 0.09 * effect) * (time[-1] + 5)))
    since = np.maximum(time[:, None] - onsets, 0)
    responses = (np.exp(-since / 3) - np.exp(-since / 0.7)).sum(axis=1)
    return level * (1 + 0.22 * responses) + 0.01 * rng.standard_normal(len(time))
