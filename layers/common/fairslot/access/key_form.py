"""The form of API keys: `fairslot_`, 30 random characters of base62, and a checksum of six.

The checksum tells a mistyped or made-up key from a real one without a look-up; it keeps no secret. By the
prefix a key is recognized in texts where it must not be, also by scanners for leaked secrets.
"""

import hmac
import string
from zlib import crc32

PREFIX = "fairslot_"
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM = 30
_CHECK = 6
_LENGTH = len(PREFIX) + _RANDOM + _CHECK
# Four of 30 random characters: enough to tell keys apart, and 155 bits are left.
_SHOWN = len(PREFIX) + 4


def make() -> str:
    """Return a new key."""
    import secrets  # late: few processes make keys

    stem = PREFIX + "".join(secrets.choice(_DIGITS) for _ in range(_RANDOM))
    return stem + _checksum(stem)


def is_key(text: str) -> bool:
    """Tell whether a text has the form of a key, its checksum included."""
    return (
        len(text) == _LENGTH
        and text.isascii()
        and text.startswith(PREFIX)
        and hmac.compare_digest(_checksum(text[:-_CHECK]), text[-_CHECK:])
    )


def start_of(key: str) -> str:
    """Return the first characters of a key, which may be shown."""
    return key[:_SHOWN]


def _checksum(stem: str) -> str:
    """Return the CRC-32 of a text in base62."""
    number, written = crc32(stem.encode()), ""
    for _ in range(_CHECK):
        number, digit = divmod(number, len(_DIGITS))
        written = _DIGITS[digit] + written
    return written
