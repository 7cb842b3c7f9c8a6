"""Rows of bits, one after the other: adding them column by column, and some of them at a time."""

import sys
from array import array
from collections.abc import Sequence

_BITS = bytes(value & 1 for value in range(256))  # "0" and "1" as numbers
_LANE = array("I").itemsize


def column_sums(rows: int, count: int, width: int) -> Sequence[int]:
    """Return how many of `count` rows have the bit of each of `width` columns, left to right.

    The rows stand one after the other in one integer, the first one highest. Halves are added to halves as
    bit planes (plane k has bit k of each column's sum), so that the work is that of a few long integers.
    """
    sums = 0
    for number, plane in enumerate(_planes(rows, count, width)):
        lanes = bytearray(width * _LANE)
        lanes[_LANE - 1 :: _LANE] = format(plane, f"0{width}b").encode().translate(_BITS)
        sums += int.from_bytes(lanes) << number
    found = array("I", sums.to_bytes(width * _LANE))
    if sys.byteorder == "little":
        found.byteswap()
    return found.tolist()


def gathered(rows: bytes | bytearray, size: int, numbers: Sequence[int], width: int | None = None) -> int:
    """Return some of the rows of `size` bytes, or the first `width` bytes of each, in one integer."""
    length = size if width is None else width
    return int.from_bytes(b"".join([rows[number * size : number * size + length] for number in numbers]))


def scatter(rows: bytearray, size: int, numbers: Sequence[int], bits: int) -> None:
    """Put rows that gathered() returned back in their places."""
    made = bits.to_bytes(len(numbers) * size)
    for place, number in enumerate(numbers):
        rows[number * size : (number + 1) * size] = made[place * size : (place + 1) * size]


def _planes(rows: int, count: int, width: int) -> list[int]:
    planes, odd = [rows], list[int]()
    while count > 1:
        half = count // 2
        shift = half * width
        mask = (1 << shift) - 1
        if count % 2:
            odd = _added(odd, [plane >> 2 * shift for plane in planes])
        planes = _added([plane >> shift & mask for plane in planes], [plane & mask for plane in planes])
        count = half
    return _added(odd, planes)


def _added(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """Add two sums that are given as planes."""
    planes, carry = [], 0
    for number in range(max(len(one), len(other))):
        first = one[number] if number < len(one) else 0
        second = other[number] if number < len(other) else 0
        either = first ^ second
        planes.append(either ^ carry)
        carry = first & second | either & carry
    return [*planes, carry] if carry else planes
