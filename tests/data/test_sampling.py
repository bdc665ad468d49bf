import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from hallmark.data.sampling import EpochSampler, SampleIndex, eval_batches


def epoch(size: int, seed: int, number: int, skip: int = 0) -> list[SampleIndex]:
    sampler = EpochSampler(size, seed=seed, skip=skip)
    sampler.set_epoch(number)
    return list(sampler)


@given(st.integers(1, 50), st.integers(0, 2**32), st.integers(0, 100))
def test_each_epoch_is_a_permutation(size: int, seed: int, number: int) -> None:
    draws = epoch(size, seed, number)
    assert sorted(draw.position for draw in draws) == list(range(size))
    assert len({draw.seed for draw in draws}) == size


def test_epochs_and_seeds_differ_in_order_and_in_augmentation() -> None:
    first, second, other = epoch(50, 0, 0), epoch(50, 0, 1), epoch(50, 1, 0)
    for changed in (second, other):
        assert [draw.position for draw in changed] != [draw.position for draw in first]
        assert not {draw.seed for draw in changed} & {draw.seed for draw in first}


@given(st.integers(1, 40), st.integers(0, 40))
def test_skipping_goes_on_where_the_epoch_was_left_and_only_once(size: int, skip: int) -> None:
    sampler = EpochSampler(size, seed=3, skip=skip)
    sampler.set_epoch(2)
    assert list(sampler) == epoch(size, 3, 2)[skip:]
    sampler.set_epoch(3)
    assert list(sampler) == epoch(size, 3, 3)
    assert len(sampler) == size


def test_a_draw_depends_on_nothing_that_was_drawn_before() -> None:
    expected = epoch(20, 5, 7)
    np.random.seed(1)
    torch.manual_seed(1)
    sampler = EpochSampler(20, seed=5)
    for number in (0, 3, 7):
        sampler.set_epoch(number)
        drawn = list(sampler)
        torch.rand(3)
    assert drawn == expected
    state = torch.get_rng_state()
    list(sampler)
    assert torch.equal(state, torch.get_rng_state())


@given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 60))
def test_processes_share_each_epoch_of_one_order(size: int, world_size: int, skip: int) -> None:
    order = epoch(size, 4, 2)
    shares = []
    for rank in range(world_size):
        sampler = EpochSampler(size, seed=4, rank=rank, world_size=world_size)
        sampler.set_epoch(2)
        shares.append(list(sampler))
        assert len(sampler) == len(shares[-1]) == size // world_size
        resumed = EpochSampler(size, seed=4, skip=skip, rank=rank, world_size=world_size)
        resumed.set_epoch(2)
        assert list(resumed) == shares[-1][skip:]
    together = [draw for step in zip(*shares, strict=True) for draw in step]
    assert together == order[: size - size % world_size]


@given(st.integers(1, 200), st.integers(2, 9), st.integers(1, 5))
def test_evaluation_reads_every_sample_in_one_process_and_in_equally_many_batches(
    size: int, batch_size: int, world_size: int
) -> None:
    shares = [eval_batches(size, batch_size, rank=rank, world_size=world_size) for rank in range(world_size)]
    read = [draw for share in shares for batch in share for draw in batch]
    assert sorted(read) == [SampleIndex(position, 0) for position in range(size)]
    assert len({len(share) for share in shares}) == 1
    sizes = {len(batch) for share in shares for batch in share}
    assert max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1 or size < world_size
