"""The pages that a coach sees: HTML without a script, in plain words, kept by nobody."""

import hashlib
from base64 import b64encode
from dataclasses import dataclass, field
from html import escape
from http import HTTPStatus
from typing import Any

_STYLE = (
    "body{font:1.125rem/1.5 system-ui,sans-serif;max-width:34rem;margin:10vh auto;padding:0 1rem;"
    "color:#1b1b1b;background:#fff}h1{font-size:1.5rem;line-height:1.25}"
    "label{display:block;margin:1rem 0 .25rem}input{font:inherit;width:100%;box-sizing:border-box;"
    "padding:.5rem;border:1px solid #595959;border-radius:.25rem}button{font:inherit;margin-top:1.5rem;"
    "padding:.5rem 1.25rem;border:0;border-radius:.25rem;color:#fff;background:#0b57d0}"
    "[role=alert]{border-left:.25rem solid #b3261e;padding-left:.75rem}@media(prefers-color-scheme:dark)"
    "{body{color:#e8e8e8;background:#1b1b1b}input{color:inherit;background:#2b2b2b}}"
)
_DIGEST = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    # The address has the link's token.
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_AGAIN_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An answer: HTML, or to `location` without any; `outcome` is what logs and metrics call it."""

    outcome: str
    status: HTTPStatus = HTTPStatus.OK
    title: str = ""
    text: tuple[str, ...] = ()
    form: str = field(default="", repr=False)
    location: str | None = field(default=None, repr=False)
    cookie: str | None = field(default=None, repr=False)

    def answer(self) -> dict[str, Any]:
        """Return it as API Gateway takes it (payload 2.0)."""
        headers = dict(_HEADERS)
        if self.location is not None:
            headers["Location"] = self.location
        if self.status is HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = str(_AGAIN_SECONDS)
        cookies = [self.cookie] if self.cookie else []
        return {"statusCode": self.status.value, "headers": headers, "cookies": cookies, "body": self._html()}

    def _html(self) -> str:
        if self.location is not None:
            return ""
        paragraphs = "".join(f"<p>{escape(one)}</p>" for one in self.text)
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{escape(self.title)}</title><style>{_STYLE}</style></head>"
            f"<body><main><h1>{escape(self.title)}</h1>{paragraphs}{self.form}</main></body></html>"
        )


def connected(name: str, account: str | None) -> Page:
    """Say that the calendar is connected."""
    whose = f" of {account}" if account else ""
    return Page(
        outcome="connected",
        title="Your calendar is connected",
        text=(f"{name}{whose} is read from now on. You can close this page.",),
    )


def gone() -> Page:
    """Say that the link is none of ours, or that what it was for is gone."""
    return Page(
        outcome="gone",
        status=HTTPStatus.NOT_FOUND,
        title="This link is not valid",
        text=(
            "It may have been cut off on its way, or is no longer needed.",
            "Ask whoever sent it for a new one.",
        ),
    )


def used() -> Page:
    """Say that the link was used."""
    return Page(
        outcome="used",
        status=HTTPStatus.GONE,
        title="This link was used already",
        text=(
            "A calendar was connected with it, and a link works once. Nothing was changed now.",
            "To connect another calendar, ask whoever sent the link for a new one.",
        ),
    )


def expired() -> Page:
    """Say that the link was not used in time."""
    return Page(
        outcome="expired",
        status=HTTPStatus.GONE,
        title="This link has expired",
        text=("It was good for seven days. Ask whoever sent it for a new one.",),
    )


def refused(name: str) -> Page:
    """Say that the coach did not consent."""
    return Page(
        outcome="refused",
        title="Nothing was connected",
        text=(
            f"You did not allow access to {name}, so nothing was read or stored.",
            "If that was a mistake, open the link again.",
        ),
    )


def missing(name: str, scopes: list[str]) -> Page:
    """Say that the coach allowed a part only."""
    return Page(
        outcome="scopes_missing",
        status=HTTPStatus.FORBIDDEN,
        title="Some permissions are missing",
        text=(
            f"{name} says that this was not allowed: {'; '.join(scopes)}.",
            "Without it your calendar cannot be connected. Open the link again, and leave every box ticked.",
        ),
    )


def wrong_account(wanted: str, given: str | None) -> Page:
    """Say that it is another account than before."""
    who = f"You signed in as {given}" if given else "You signed in to another account"
    return Page(
        outcome="wrong_account",
        status=HTTPStatus.CONFLICT,
        title="This is another account",
        text=(
            f"{who}, but the calendar to connect again is that of {wanted}. Nothing was changed.",
            f"Open the link again and sign in as {wanted}.",
        ),
    )


def not_this_browser() -> Page:
    """Say that a step does not belong to what this browser began lately."""
    return Page(
        outcome="not_this_browser",
        status=HTTPStatus.BAD_REQUEST,
        title="That took too long, or began elsewhere",
        text=(
            "This was not begun in this browser, or more than ten minutes ago. Nothing was changed.",
            "Open the link again, in this browser and with cookies allowed.",
        ),
    )


def failed(name: str) -> Page:
    """Say that the provider did not do it."""
    return Page(
        outcome="provider_failed",
        status=HTTPStatus.BAD_GATEWAY,
        title="That did not work",
        text=(
            f"{name} did not complete the connection. Nothing was changed.",
            "Open the link again in a minute.",
        ),
    )


def not_set_up(name: str) -> Page:
    """Say that the operator has no registration there."""
    return Page(
        outcome="not_set_up",
        status=HTTPStatus.NOT_IMPLEMENTED,
        title=f"{name} is not set up",
        text=(
            "Whoever runs this system has to register it there first. Please tell whoever sent you the link.",
        ),
    )


def unavailable() -> Page:
    """Say that something which is needed does not answer."""
    return Page(
        outcome="unavailable",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        title="Please try again in a minute",
        text=("The system did not answer in time. Your link stays valid: open it again.",),
    )


def caldav_form(
    *, token_field: str, address: str, user: str, error: str | None, cookie: str | None = None
) -> Page:
    """Ask for a CalDAV account; a password that was given is never in the form."""
    warning = f'<p role="alert">{escape(error)}</p>' if error else ""
    fields = (
        (
            "url",
            "Address of the server or the calendar",
            "text",
            address,
            'inputmode="url" autocomplete="url"',
        ),
        ("username", "User name", "text", user, 'autocomplete="username"'),
        ("password", "Password", "password", "", 'autocomplete="current-password"'),
    )
    inputs = "".join(
        f'<label for="{name}">{label}</label>'
        f'<input id="{name}" name="{name}" type="{kind}" value="{escape(value)}" required {more}>'
        for name, label, kind, value, more in fields
    )
    form = (
        f'{warning}<form method="post"><input type="hidden" name="form" value="{escape(token_field)}">'
        f"{inputs}<button>Connect</button></form>"
    )
    return Page(
        outcome="form_refused" if error else "form",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK,
        title="Connect your calendar",
        text=("Many providers, such as iCloud and Fastmail, ask for an app password, made in your account.",),
        form=form,
        cookie=cookie,
    )
