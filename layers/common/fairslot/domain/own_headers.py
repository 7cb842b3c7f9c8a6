"""Which headers an endpoint may add to its requests: one list, for who takes them and who sends them."""

import re

# Ours; the connection's own (RFC 9110, section 7.6.1); conditions and ranges (sections 13 and 14);
# credentials, as headers are kept in the clear; what tells a receiver, or a proxy before it, who is asking,
# how, and for what, or which file to send.
_NAMES = frozenset(
    {
        "alt-svc",
        "alt-used",
        "authorization",
        "client-ip",
        "close",
        "connection",
        "cookie",
        "cookie2",
        "date",
        "early-data",
        "expect",
        "fastly-client-ip",
        "forwarded",
        "front-end-https",
        "host",
        "http2-settings",
        "idempotency-key",
        "if",
        "keep-alive",
        "max-forwards",
        "origin",
        "range",
        "referer",
        "remote-user",
        "request-range",
        "set-cookie",
        "set-cookie2",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "true-client-ip",
        "upgrade",
        "user-agent",
        "via",
        "x-api-key",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-host",
        "x-http-method",
        "x-http-method-override",
        "x-idempotency-key",
        "x-method-override",
        "x-real-ip",
        "x-requested-with",
        "x-scheme",
        "x-url-scheme",
    }
)
_PREFIXES = (
    "accept",
    "access-control-",
    "cf-",
    "cloudfront-",
    "content-",
    "if-",
    "proxy-",
    "sec-",
    "ssl-client-",
    "webhook-",
    "x-accel-",
    "x-amz",
    "x-auth-request-",
    "x-client-cert",
    "x-envoy-",
    "x-forwarded",
    "x-goog-authenticated-",
    "x-goog-iap-",
    "x-lighttpd-send",
    "x-middleware-",
    "x-ms-client-principal",
    "x-original-",
    "x-remote-",
    "x-reproxy-",
    "x-rewrite-",
    "x-sendfile",
    "x-ssl-client-",
    "x-webauth-",
)
_SIGN = re.compile(r"[^0-9a-z]")


def may_be_chosen(name: str) -> bool:
    """Tell whether an endpoint may have a header of this name."""
    read = as_read(name)
    return read not in _NAMES and not read.startswith(_PREFIXES)


def as_read(name: str) -> str:
    """Return the name as the many receivers know it that make one of `-`, `_` and other signs (RFC 3875)."""
    return _SIGN.sub("-", name.lower())
