"""The OAuth endpoints of the stand-in of Microsoft: everybody consents at once."""

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from time import time
from urllib.parse import urlencode

from aiohttp import web

from local.partners.microsoft_store import Consent, Grant, Mailbox, Settings, Store

STORE = web.AppKey("store", Store)
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
RESOURCE = "https://graph.microsoft.com/"
_LONGEST_ASSERTION = 600
routes = web.RouteTableDef()


@routes.get("/{tenant}/oauth2/v2.0/authorize")
async def authorize(request: web.Request) -> web.Response:
    """Send whoever `login_hint` names, or the first mailbox, back with a code."""
    query, store = request.query, request.app[STORE]
    mailbox = store.mailbox(query.get("login_hint", "")) or next(iter(store.mailboxes.values()), None)
    if mailbox is None or query.get("code_challenge_method") != "S256" or "code_challenge" not in query:
        return web.json_response({"error": "invalid_request"}, status=400)
    code = secrets.token_urlsafe(24)
    store.codes[code] = (consent(store, mailbox, query.get("scope", "").split()), query["code_challenge"])
    back = urlencode({"code": code, "state": query.get("state", "")})
    raise web.HTTPFound(f"{query['redirect_uri']}?{back}")


@routes.post("/{tenant}/oauth2/v2.0/token")
async def token(request: web.Request) -> web.Response:
    """Exchange a code or a refresh token, or give the application a token of its own."""
    form = {name: str(value) for name, value in (await request.post()).items()}
    store, grant_type = request.app[STORE], form.get("grant_type")
    audience = str(request.url.with_query(None))
    if not _is_client(store.settings, form, audience):
        return _problem("invalid_client", "AADSTS7000215: Invalid client secret provided.")
    if grant_type == "client_credentials":
        if form.get("scope") != f"{RESOURCE}.default":
            return _problem("invalid_scope", "AADSTS1002012: The provided value for scope is not valid.")
        return web.json_response(_tokens(store, None, frozenset({"Calendars.ReadWrite"})))
    if grant_type == "refresh_token":
        agreed = _by_refresh_token(store, form.get("refresh_token", ""))
    elif grant_type == "authorization_code":
        agreed = _by_code(store, form)
    else:
        return _problem("unsupported_grant_type", "AADSTS70003")
    if agreed is None:
        return _problem(
            "invalid_grant", "AADSTS70008: The provided authorization code or refresh token has expired."
        )
    answer = _tokens(store, agreed.mailbox, agreed.scopes)
    if store.settings.rotates or grant_type == "authorization_code":
        answer["refresh_token"] = new_refresh_token(agreed)
    return web.json_response(answer)


def consent(store: Store, mailbox: Mailbox, scopes: list[str]) -> Consent:
    """Remember what somebody allows."""
    agreed = Consent(mailbox, frozenset(scope.removeprefix(RESOURCE) for scope in scopes))
    store.consents.append(agreed)
    return agreed


def new_refresh_token(agreed: Consent, wanted: str | None = None) -> str:
    """Return a refresh token that was never given before, unless a certain one is wanted."""
    made = wanted or f"0.{secrets.token_urlsafe(32)}"
    agreed.refresh_tokens.add(made)
    return made


def new_access_token(store: Store, mailbox: Mailbox | None, scopes: frozenset[str]) -> str:
    """Return an access token."""
    made = f"ey.{secrets.token_urlsafe(32)}"
    store.grants[made] = Grant(mailbox, scopes, time() + store.settings.token_seconds)
    return made


def _tokens(store: Store, mailbox: Mailbox | None, scopes: frozenset[str]) -> dict[str, object]:
    shown = " ".join(sorted(f"{RESOURCE}{scope}" for scope in scopes if scope != "offline_access"))
    return {
        "token_type": "Bearer",
        "expires_in": store.settings.token_seconds,
        "access_token": new_access_token(store, mailbox, scopes),
        **({"scope": shown} if mailbox is not None else {}),
    }


def _by_refresh_token(store: Store, given: str) -> Consent | None:
    agreed = next((one for one in store.consents if given in one.refresh_tokens), None)
    if agreed is not None and store.settings.rotates and store.settings.strict_rotation:
        agreed.refresh_tokens.discard(given)
    return agreed


def _by_code(store: Store, form: Mapping[str, str]) -> Consent | None:
    agreed, challenge = store.codes.pop(form.get("code", ""), (None, ""))
    digest = sha256(form.get("code_verifier", "").encode()).digest()
    proven = urlsafe_b64encode(digest).decode().rstrip("=") == challenge
    return agreed if proven else None


def _is_client(settings: Settings, form: Mapping[str, str], audience: str) -> bool:
    """Tell whether it is the operator's application, by its secret or by an assertion of its certificate."""
    if form.get("client_id") != settings.client_id:
        return False
    if "client_assertion" not in form:
        return form.get("client_secret") == settings.client_secret
    return form.get("client_assertion_type") == ASSERTION and _is_assertion(
        settings, form["client_assertion"], audience
    )


def _is_assertion(settings: Settings, text: str, audience: str) -> bool:
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import RSAKey

    try:
        decoded = jwt.decode(text, RSAKey.import_key(settings.certificate), algorithms=["PS256"])
    except (JoseError, ValueError):
        return False
    claims, now = decoded.claims, time()
    named = {claims.get("iss"), claims.get("sub")} == {settings.client_id} and claims.get("aud") == audience
    is_timely = claims.get("nbf", 0) <= now + 60 and now < claims.get("exp", 0) <= now + _LONGEST_ASSERTION
    is_ours = decoded.header.get("x5t#S256") == settings.thumbprint
    return named and is_timely and is_ours and bool(claims.get("jti"))


def _problem(error: str, description: str) -> web.Response:
    status = 401 if error == "invalid_client" else 400
    return web.json_response({"error": error, "error_description": description}, status=status)
