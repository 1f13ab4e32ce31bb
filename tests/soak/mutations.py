"""Bytes that went wrong: what a disk, an editor, a transfer or somebody malicious may hand over."""

from __future__ import annotations

import random
from collections.abc import Iterator

_SNIPPETS = (
    b"",
    b"\x00" * 8,
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"nan",
    b"-1",
    b"1e999",
    b"99999999999999999999999",
    b"\n\n",
    b"]",
    b'"',
    b"[[[[",
    b"= =",
    b"\xc3(",
    b"{}",
    b"true",
)


def mutated(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Variants of some bytes: cut, flipped, swapped, doubled, overwritten, with things put in.

    Args:
        data: what was right.
        count: how many variants.
        seed: of the choices.
    """
    chance = random.Random(seed)
    for _ in range(count):
        changed = bytearray(data)
        for _ in range(chance.choice((1, 1, 1, 2, 5))):
            _change(changed, chance)
        yield bytes(changed)


def _change(data: bytearray, chance: random.Random) -> None:
    # Heads matter most: sizes, counts, names and offsets are there.
    reach = len(data) if chance.random() < 0.5 else min(len(data), 256)
    at = chance.randrange(reach + 1)
    until = min(len(data), at + chance.choice((1, 1, 4, 8, 64)))
    match chance.randrange(6):
        case 0:
            del data[at:]
        case 1:
            data[at:until] = bytes(chance.randrange(256) for _ in range(until - at))
        case 2:
            del data[at:until]
        case 3:
            data[at:at] = data[at:until] * chance.choice((1, 3))
        case 4:
            data[at:until] = chance.choice(_SNIPPETS)
        case 5:
            if at < len(data):
                data[at] ^= 1 << chance.randrange(8)
