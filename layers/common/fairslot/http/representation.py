"""The representation of an answer that the client asked for: its ETag, 304 and gzip (RFC 9110).

A representation has a strong ETag of its own, also each coding of the same text.
"""

import base64
import hashlib
import re
import zlib
from collections.abc import Mapping
from typing import NamedTuple

from aws_lambda_powertools.event_handler import Response

_LEAST_BYTES = 1_000  # below that gzip saves no packet
_ETAG = re.compile(r'(?:W/)?("[^"]*")')
_WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
_GZIP_WBITS = 31


class Representations(NamedTuple):
    """A JSON text with its ETag, and the same compressed, if that is worth it."""

    text: str
    etag: str
    gzip: str | None

    @classmethod
    def of(cls, text: str, *, compressed: bool) -> "Representations":
        """Return the representations of a text; the compressed one, in base64, only if it is needed."""
        raw = text.encode()
        packed = None
        if compressed and len(raw) >= _LEAST_BYTES:
            gzip = zlib.compressobj(1, zlib.DEFLATED, _GZIP_WBITS)
            packed = base64.b64encode(gzip.compress(raw) + gzip.flush()).decode("ascii")
        # Processors have instructions for it: a large page takes half as long as with blake2b.
        return cls(text=text, etag=hashlib.sha256(raw).hexdigest()[:32], gzip=packed)


def response(made: Representations, headers: Mapping[str, str]) -> Response[str]:
    """Answer a GET with the representation that the client accepts, or 304 if it has it.

    The client has to ask again before it uses what it has (`no-cache`). Header names are in lower case.
    """
    is_compressed = made.gzip is not None and accepts_gzip(headers.get("accept-encoding", ""))
    etag = f'"{made.etag}-gzip"' if is_compressed else f'"{made.etag}"'
    about = {"ETag": etag, "Vary": "Accept-Encoding", "Cache-Control": "private, no-cache"}
    if has_match(headers.get("if-none-match", ""), etag):
        return Response(304, None, "", about)
    if not is_compressed:
        return Response(200, "application/json", made.text, about)
    answer = Response(200, "application/json", made.gzip, {**about, "Content-Encoding": "gzip"})
    answer.base64_encoded = True
    return answer


def accepts_gzip(header: str) -> bool:
    """Tell whether an Accept-Encoding accepts gzip, and no less than the text as it is.

    https://www.rfc-editor.org/rfc/rfc9110#name-accept-encoding
    """
    weights: dict[str, float] = {}
    for part in header.lower().split(","):
        coding, *parameters = (one.strip() for one in part.split(";"))
        weight = 1.0
        for parameter in parameters:
            found = _WEIGHT.fullmatch(parameter)
            weight = float(found[1]) if found else 0.0
        if coding:
            weights[coding] = weight
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    # Without a word about it, the text as it is is acceptable, but it is no preference.
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def has_match(header: str, etag: str) -> bool:
    """Tell whether an If-None-Match has an ETag; weak ones count (RFC 9110, section 13.1.2)."""
    return header.strip() == "*" or etag in _ETAG.findall(header)
