"""Texts that only this deployment can make: encrypted and authenticated by AES-SIV (RFC 5297).

It needs no nonce: what is sealed twice is the same text, and what has to differ brings something random.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from typing import TYPE_CHECKING

from fairslot.platform.settings import settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

# A shorter one would be no random secret.
SHORTEST = 32
LONGEST_TEXT = 4_096


class NoSecretError(Exception):
    """Set CONNECT_SECRETS to random text of at least 32 characters."""

    def __init__(self) -> None:
        """Say what is to be done."""
        super().__init__(type(self).__doc__)


def seal(content: bytes, *, purpose: str, bound_to: bytes = b"") -> str:
    """Return a text that `unseal` reads for the same purpose and binding: base64 for URLs, without padding.

    Raises NoSecretError.
    """
    keys = _keys(purpose)
    if not keys:
        raise NoSecretError
    return urlsafe_b64encode(keys[0].encrypt(content, [bound_to])).decode().rstrip("=")


def unseal(text: str, *, purpose: str, bound_to: bytes = b"") -> bytes | None:
    """Return what was sealed, None for any other text; an earlier secret reads what it sealed."""
    from cryptography.exceptions import InvalidTag

    if len(text) > LONGEST_TEXT or not text.isascii():
        return None
    try:
        sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Error, ValueError):
        return None
    # Base64 ignores what does not belong in it: one content has one text.
    if urlsafe_b64encode(sealed).decode().rstrip("=") != text:
        return None
    for key in _keys(purpose):
        try:
            return key.decrypt(sealed, [bound_to])
        except (InvalidTag, ValueError):
            continue
    return None


def is_ready() -> bool:
    """Return whether there is a secret to seal with."""
    return bool(_secrets())


def _secrets() -> list[str]:
    given = (one.strip() for one in settings().connect_secrets.split(","))
    return [one for one in given if len(one) >= SHORTEST]


def _keys(purpose: str) -> "list[AESSIV]":
    # Imported late: what is not sealed needs no cryptography at a cold start.
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

    return [
        AESSIV(hashlib.blake2b(one.encode(), key=b"fairslot sealing", person=_person(purpose)).digest())
        for one in _secrets()
    ]


def _person(purpose: str) -> bytes:
    """Return what keeps the keys of different purposes apart: 16 bytes."""
    return hashlib.blake2b(purpose.encode(), digest_size=16).digest()
