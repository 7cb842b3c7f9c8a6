"""Which headers an endpoint may add to its requests, for the API and the dispatcher."""

import re

# Reserved: ours; hop-by-hop headers (RFC 9110, section 7.6.1); conditions and ranges (sections 13 and 14);
# credentials, as headers are stored in plain text; and what a receiver or its proxy trusts to say who sends
# the request, how and to where, or which file to return.
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
        "fly-client-ip",
        "forwarded",
        "front-end-https",
        "host",
        "http2-settings",
        "idempotency-key",
        "if",
        "keep-alive",
        "max-forwards",
        "origin",
        "proxy",
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
        "x-originating-ip",
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
    "wl-proxy-",
    "x-accel-",
    "x-amz",
    "x-appengine-",
    "x-auth-request-",
    "x-azure-",
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
    "x-vercel-",
    "x-webauth-",
)
_SEPARATOR = re.compile(r"[^0-9a-z]")


def may_be_chosen(name: str) -> bool:
    """Tell whether an endpoint may have a header of this name."""
    read = as_read(name)
    return read not in _NAMES and not read.startswith(_PREFIXES)


def as_read(name: str) -> str:
    """Return the name as receivers read it that treat `-`, `_` and other signs alike (CGI: RFC 3875)."""
    return _SEPARATOR.sub("-", name.lower())
