"""Rows of bits, one after the other: adding them column by column, and some of them at a time."""

import sys
from array import array
from collections.abc import Iterable, Sequence

_BITS = bytes(value & 1 for value in range(256))  # "0" and "1" as numbers
# The types of arrays whose items are large enough for a sum of so many planes.
_LANES = ((8, "B"), (16, "H"), (32, "I"))


def column_sums(blocks: Iterable[int], rows: int, width: int) -> list[int]:
    """Return how many rows have the bit of each of `width` columns, left to right.

    A block is an integer of `rows` rows, a power of two, one after the other, the first one highest. Blocks
    of some ten kilobytes stay in the processor's caches, which is several times faster than one for all.
    """
    planes = _sum(blocks)
    while rows > 1:
        rows //= 2
        shift = rows * width
        mask = (1 << shift) - 1
        planes = _added([plane >> shift for plane in planes], [plane & mask for plane in planes])
    return _numbers(planes, width)


def gathered(
    rows: bytes | bytearray, size: int, numbers: Sequence[int], width: int | None = None, count: int = 0
) -> int:
    """Return some of the rows of `size` bytes, or the first `width` bytes of each, in one integer.

    Where they are fewer than `count`, empty rows follow.
    """
    length = size if width is None else width
    found = b"".join([rows[number * size : number * size + length] for number in numbers])
    return int.from_bytes(found) << max(0, count - len(numbers)) * length * 8


def scatter(rows: bytearray, size: int, numbers: Sequence[int], bits: int) -> None:
    """Put rows that gathered() returned back in their places."""
    made = bits.to_bytes(len(numbers) * size)
    for place, number in enumerate(numbers):
        rows[number * size : (number + 1) * size] = made[place * size : (place + 1) * size]


def _sum(blocks: Iterable[int]) -> Sequence[int]:
    """Add blocks as bit planes: plane k has bit k of each place's sum.

    Three of one weight become one of that weight and one of twice the weight: a carry-save adder (Harley and
    Seal; Warren, "Hacker's Delight", section 5-1).
    """
    planes, waiting = list[int](), list[int]()  # by weight: the sum so far, and what is to be added to it
    for block in blocks:
        more, number = block, 0
        while number < len(planes) and waiting[number]:
            either = planes[number] ^ waiting[number]
            planes[number], more = either ^ more, planes[number] & waiting[number] | either & more
            waiting[number] = 0
            number += 1
        if number < len(planes):
            waiting[number] = more
        else:
            planes.append(more)
            waiting.append(0)
    return _added(planes, waiting)


def _added(one: Sequence[int], other: Sequence[int]) -> Sequence[int]:
    """Add two sums that are given as planes."""
    planes, carry = [], 0
    for first, second in zip(one, other, strict=True):
        either = first ^ second
        planes.append(either ^ carry)
        carry = first & second | either & carry
    return [*planes, carry] if carry else planes


def _numbers(planes: Sequence[int], width: int) -> list[int]:
    """Return the numbers of `width` places that planes stand for."""
    kind = next(kind for most, kind in _LANES if len(planes) <= most)
    lane = array(kind).itemsize
    sums = 0
    for number, plane in enumerate(planes):
        lanes = bytearray(width * lane)
        lanes[lane - 1 :: lane] = format(plane, f"0{width}b").encode().translate(_BITS)
        sums |= int.from_bytes(lanes) << number
    found = array(kind, sums.to_bytes(width * lane))
    if sys.byteorder == "little":
        found.byteswap()
    return found.tolist()
