"""Pages by which coaches connect their calendars: links in, consent or a password, and the way back.

It reaches the internet and no database. Of the inside it asks one function, about links alone.
"""

from base64 import b64decode
from binascii import Error
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from fairslot.platform.start import importing

with importing():
    from aws_lambda_powertools.metrics import MetricUnit

    from calendar_connect import browser, by_oauth, by_password, links, pages
    from calendar_connect.pages import Page
    from fairslot.domain.errors import UnavailableError
    from fairslot.platform import edge_proof
    from fairslot.platform.observability import logger, metrics

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

LINK = "/connect/{token}"
CALLBACK = "/connect/callback"
ROUTES = (("GET", LINK), ("POST", LINK), ("GET", CALLBACK))
_LARGEST_FORM = 10_000
_MOST_FIELDS = 10


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Answer a request of a browser with a page. Neither its address nor what it sends is logged."""
    try:
        page = _page(event)
    except UnavailableError:
        page = pages.unavailable()
    except Exception as error:  # noqa: BLE001 - a coach gets a page whatever happens
        # Only the type: an exception's text can quote a password or a token.
        logger.error("page failed unexpectedly", extra={"exception": type(error).__qualname__})
        page = pages.unavailable()
    logger.info("connecting", extra={"outcome": page.outcome})
    metrics.add_metric(name="ConnectPages", unit=MetricUnit.Count, value=1)
    return page.answer()


def _page(event: Mapping[str, Any]) -> Page:
    if not edge_proof.may_come_in(event.get("headers") or {}):
        return pages.gone()
    cookie = browser.cookie_of(event)
    if event["routeKey"] == f"GET {CALLBACK}":
        return by_oauth.finish(event.get("queryStringParameters") or {}, cookie)
    link = links.find((event.get("pathParameters") or {}).get("token", ""))
    if isinstance(link, Page):
        return link
    posted = event["routeKey"] == f"POST {LINK}"
    if link.kind == "caldav":
        return by_password.finish(link, _form(event), cookie) if posted else by_password.begin(link)
    return pages.gone() if posted else by_oauth.begin(link)


def _form(event: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of a form; none where it is too large or none."""
    body = event.get("body") or ""
    try:
        text = b64decode(body, validate=True).decode() if event.get("isBase64Encoded") else body
        fields = dict(parse_qsl(text, max_num_fields=_MOST_FIELDS)) if len(text) <= _LARGEST_FORM else {}
    except (Error, ValueError):
        return {}
    return fields
