"""What operations of the HTTP contract share: headers, keys, authentication and problems."""

from typing import Any

from fairslot.domain.errors import FairslotError
from fairslot.http.changes import LONGEST_KEY

type Json = dict[str, Any]

_KEY_SCHEMA = {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[ -~]+$"}
_KEY_MEANING = (
    "A retry with the same key is answered with the first answer and has no second effect; another request"
    " with the same key is refused."
)
PARAMETERS: Json = {
    "XIdempotencyKey": {
        "name": "X-Idempotency-Key",
        "in": "header",
        "description": _KEY_MEANING,
        "schema": _KEY_SCHEMA,
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Another name of X-Idempotency-Key; if both are given they must be equal.",
        "schema": _KEY_SCHEMA,
    },
}


CONDITIONS: Json = {
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "ETags of pages that the client has, or `*`: if it has the page, the answer is 304.",
        "schema": {"type": "string", "examples": ['"5d41402abc4b2a76b9719d911017c592"']},
    },
    "AcceptEncoding": {
        "name": "Accept-Encoding",
        "in": "header",
        "description": "With `gzip` a page of some size is compressed.",
        "schema": {"type": "string", "examples": ["gzip"]},
    },
}


def _header(description: str, **schema: Any) -> Json:
    return {"description": description, "schema": {"type": "string"} | schema}


LIMITS: Json = {
    "X-RateLimit-Limit": _header("Requests a minute that this key may make.", type="integer"),
    "X-RateLimit-Remaining": _header("How many of them are left in this minute.", type="integer"),
    "X-RateLimit-Reset": _header("Seconds until there is room for another request.", type="integer"),
    "RateLimit": _header("The same in the form of the IETF's draft.", examples=['"default";r=99;t=60']),
    "RateLimit-Policy": _header("The limit itself.", examples=['"default";q=100;w=60']),
}
CACHING: Json = {
    "ETag": _header("Of this very page, compressed or not.", pattern='^"[^"]*"$'),
    "Vary": _header("What the page depends on.", const="Accept-Encoding"),
    "Cache-Control": _header(
        "To be kept by the client alone, who asks each time.", const="private, no-cache"
    ),
}
HEADERS: Json = {
    **LIMITS,
    **CACHING,
    "Content-Encoding": _header("Where the page is compressed.", const="gzip"),
    "X-Request-Id": _header("The id of this request in our logs."),
    "Idempotent-Replayed": _header(
        "The answer is a replay of the one that this key got before.", const="true"
    ),
    "Retry-After": _header("Seconds after which to try again.", type="integer"),
    "WWW-Authenticate": _header("How to authenticate."),
}
SECURITY: Json = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "Bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
}
# For calendar events alone.
SIGNATURE: Json = {
    "Signature": {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-signature",
        "description": "Standard Webhooks 1.0, with `webhook-id`, which is the idempotency key then, and"
        " `webhook-timestamp`, which may be five minutes off at most.",
    }
}


def problem() -> Json:
    """Return the shape of every error."""
    text = {"type": "string"}
    place = {
        "type": "object",
        "description": "A location in the request, such as `body.start_time`, and what is wrong there; or a"
        " member of the appointment, such as `status`, and what prevents the change.",
        "properties": {"loc": text, "type": text},
        "required": ["loc", "type"],
        "additionalProperties": False,
    }
    members: Json = {
        "type": {"type": "string", "format": "uri"},
        "title": text,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": text,
        "error": {"type": "string", "enum": sorted(_codes(FairslotError)), "description": "A stable code."},
        "message": {"type": "string", "description": "The same as `detail`, for older clients."},
    }
    return {
        "description": "Why a request was not served (RFC 9457).",
        "type": "object",
        "properties": {
            **members,
            "details": {"type": "array", "items": place},
            "plan": {"$ref": "#/components/schemas/Plan"},
        },
        "required": list(members),
        "additionalProperties": False,
    }


def _codes(kind: type[FairslotError]) -> set[str]:
    return {kind.code}.union(*(_codes(child) for child in kind.__subclasses__()))
