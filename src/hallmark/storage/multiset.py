"""The hash of a collection whose order does not count, which is brought up to date by what came and what went.

MuHash (Bellare & Micciancio 1997): the product of a hash of each element modulo a prime of 3,072 bits, for which no two
collections of one product are known to be computable. Its prime is that of Bitcoin Core.
"""

import hashlib
from collections.abc import Iterable

_BYTES = 384
_PRIME = 2**3072 - 1103717
EMPTY = (1).to_bytes(_BYTES, "little")
"""Of a collection without elements."""


def changed(product: bytes, *, added: Iterable[bytes] = (), removed: Iterable[bytes] = ()) -> bytes:
    """The hash of the collection with the hash `product` after these elements came and went."""
    value = int.from_bytes(product, "little") * _product(added) % _PRIME
    if (gone := _product(removed)) != 1:
        value = value * pow(gone, -1, _PRIME) % _PRIME
    return value.to_bytes(_BYTES, "little")


def _product(elements: Iterable[bytes]) -> int:
    value = 1
    for element in elements:
        value = value * int.from_bytes(hashlib.shake_256(element).digest(_BYTES), "little") % _PRIME
    return value
