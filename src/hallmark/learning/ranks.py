"""What the processes of one fit tell each other."""

from typing import TypeVar

from torch import distributed

T = TypeVar("T")


def of_all_ranks(value: T) -> list[T]:
    """`value` of every rank in order; every rank must ask. One process alone gets its own."""
    if not distributed.is_initialized():
        return [value]
    values: list[T | None] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return [element for element in values if element is not None]
