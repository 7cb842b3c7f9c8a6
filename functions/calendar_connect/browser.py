"""What ties a connection's steps to one browser: a cookie, and texts that are good with that cookie only."""

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

from fairslot.platform import sealing
from fairslot.platform.settings import settings

# From opening the link to coming back from the provider.
VALID_SECONDS = 600
_NAME = "fairslot-connect"


def new_cookie() -> str:
    """Return the value of a new cookie."""
    return secrets.token_urlsafe(32)


def set_cookie(value: str) -> str:
    """Return the Set-Cookie header: a provider's redirect brings the cookie, another site's form does not."""
    return f"{_name()}={value}; Path=/; Max-Age={VALID_SECONDS}; HttpOnly; SameSite=Lax{_secure()}"


def no_cookie() -> str:
    """Return the Set-Cookie header that takes the cookie away."""
    return f"{_name()}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{_secure()}"


def cookie_of(event: Mapping[str, Any]) -> str | None:
    """Return the cookie's value of a request, None without one."""
    found = [
        value
        for name, _, value in (one.partition("=") for one in event.get("cookies") or [])
        if name.strip() == _name()
    ]
    return found[0] if len(found) == 1 and found[0] else None


def seal(step: str, members: Mapping[str, str], cookie: str) -> str:
    """Return a text for a step, which `unseal` reads with this cookie for ten minutes."""
    content = {**members, "until": int(time.time()) + VALID_SECONDS, "once": secrets.token_urlsafe(12)}
    return sealing.seal(json.dumps(content).encode(), purpose=step, bound_to=_bound(cookie))


def unseal(step: str, text: str, cookie: str | None) -> Mapping[str, str] | None:
    """Return what was sealed; None for another step's, another browser's, or what is older."""
    if cookie is None:
        return None
    content = sealing.unseal(text, purpose=step, bound_to=_bound(cookie))
    if content is None:
        return None
    members = json.loads(content)
    return members if members.pop("until") >= time.time() else None


def _bound(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode()).digest()


def _is_plain() -> bool:
    """Return whether browsers reach this by plain http, which the setting allows on one machine only."""
    return settings().public_url.startswith("http://")


def _name() -> str:
    """Return the cookie's name: a browser takes `__Host-` from this host alone, and over TLS."""
    return _NAME if _is_plain() else f"__Host-{_NAME}"


def _secure() -> str:
    return "" if _is_plain() else "; Secure"
