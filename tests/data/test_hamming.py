import numpy as np
import pytest

from hallmark.data.hamming import RADIUS, pairs_within

N = 4200  # beyond what is compared all with all


def codes(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 1 << 64, n, dtype=np.uint64)


def flipped(code: np.uint64, bits: list[int]) -> np.uint64:
    return code ^ np.bitwise_or.reduce(np.uint64(1) << np.array(bits, np.uint64))


def listed(pairs) -> list[tuple[int, int]]:
    return sorted((int(i), int(j)) for first, second in pairs for i, j in zip(first, second, strict=True))


def with_neighbors() -> tuple[np.ndarray, list[tuple[int, int]]]:
    """Codes of which the second thousand lies 0 to 11 bits from the first, spread over the parts as badly as can be."""
    many, rng = codes(N, 0), np.random.default_rng(1)
    for row in range(1000):
        parts = rng.permutation([3, 3, 3, 2])
        bits = np.concatenate([16 * p + rng.choice(16, n, replace=False) for p, n in enumerate(parts)])
        many[1000 + row] = flipped(many[row], rng.permutation(bits)[: row % 12].tolist()) if row % 12 else many[row]
    return many, [(row, 1000 + row) for row in range(1000)]


@pytest.mark.parametrize("radius", [10, RADIUS])
def test_every_pair_within_the_radius_is_found_once(radius: int) -> None:
    many, planted = with_neighbors()
    near = np.bitwise_count(many[:, None] ^ many[None]) <= radius
    expected = sorted(zip(*map(np.ndarray.tolist, np.nonzero(np.triu(near, 1))), strict=True))
    assert set(expected) >= {pair for pair in planted if pair[0] % 12 <= radius}
    assert listed(pairs_within(many, None, radius)) == expected


def test_two_sets_are_compared_in_both_orders_and_with_themselves() -> None:
    many, _ = with_neighbors()
    others = np.roll(many, 7)
    near = np.bitwise_count(many[:, None] ^ others[None]) <= 10
    expected = sorted(zip(*map(np.ndarray.tolist, np.nonzero(near)), strict=True))
    assert len(expected) >= N
    assert listed(pairs_within(many, others, 10)) == expected


def test_small_sets_give_the_same() -> None:
    many, _ = with_neighbors()
    all_pairs = listed(pairs_within(many, None, 10))
    few = [pair for pair in all_pairs if pair[1] < 2000]
    assert listed(pairs_within(many[:2000], None, 10)) == few
    assert listed(pairs_within(many[:0], None, 10)) == []
    assert listed(pairs_within(many[:1], many[:0], 10)) == []
