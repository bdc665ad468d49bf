import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hallmark.data.groups import connected_groups, shared_key_pairs


@given(st.lists(st.sampled_from(["", "a", "b", "c"]), max_size=9))
def test_pairs_link_exactly_the_rows_with_one_key(keys: list[str]) -> None:
    groups = connected_groups(len(keys), [shared_key_pairs(keys)]) if keys else np.array([])
    for i, first in enumerate(keys):
        for j, second in enumerate(keys):
            assert (groups[i] == groups[j]) == (i == j or (first == second != ""))


edges = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=12)


@given(st.lists(edges, max_size=3))
def test_groups_are_the_components_of_all_pairs_together(several: list[list[tuple[int, int]]]) -> None:
    linked = np.eye(12, dtype=int)
    for first, second in (edge for part in several for edge in part):
        linked[first, second] = linked[second, first] = 1
    reachable = np.linalg.matrix_power(linked, 12) > 0
    groups = connected_groups(12, [np.array(part, int).reshape(-1, 2) for part in several])
    np.testing.assert_array_equal(groups[:, None] == groups[None, :], reachable)


def test_chains_across_kinds_of_key_join() -> None:
    texts, images = ["x", "x", "", "y"], ["", "p", "p", "q"]
    groups = connected_groups(4, [shared_key_pairs(texts), shared_key_pairs(images)])
    assert groups[0] == groups[1] == groups[2] != groups[3]
