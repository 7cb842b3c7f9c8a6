"""The OAuth endpoints of the stand-in of Google: everybody consents at once."""

import secrets
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from local.partners.google_store import Account, Store

STORE = web.AppKey("store", Store)
SECONDS = 3_600
routes = web.RouteTableDef()


@routes.get("/o/oauth2/v2/auth")
async def authorize(request: web.Request) -> web.Response:
    """Send whoever `login_hint` names, or the first account, back with a code."""
    query, store = request.query, request.app[STORE]
    account = store.accounts.get(query.get("login_hint", "")) or next(iter(store.accounts.values()), None)
    if account is None or query.get("code_challenge_method") != "S256" or "code_challenge" not in query:
        return web.json_response({"error": "invalid_request"}, status=400)
    code = secrets.token_urlsafe(24)
    store.codes[code] = (account.email, query["code_challenge"])
    back = urlencode({"code": code, "state": query.get("state", "")})
    raise web.HTTPFound(f"{query['redirect_uri']}?{back}")


@routes.post("/token")
async def token(request: web.Request) -> web.Response:
    """Exchange a code, refresh, or take the assertion of a service account (unsigned here)."""
    form: dict[str, Any] = dict(await request.post())
    store, grant_type = request.app[STORE], form.get("grant_type")
    if grant_type == "refresh_token":
        account = store.by_refresh_token(str(form.get("refresh_token")))
    elif grant_type == "authorization_code":
        email, challenge = store.codes.pop(str(form.get("code")), ("", ""))
        digest = sha256(str(form.get("code_verifier", "")).encode()).digest()
        proven = urlsafe_b64encode(digest).decode().rstrip("=") == challenge
        account = store.accounts.get(email) if proven else None
        if account is not None:
            account.revoked, account.refresh_token = False, f"1//{secrets.token_urlsafe(24)}"
    else:
        return web.json_response({"error": "unsupported_grant_type"}, status=400)
    if account is None:
        problem = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
        return web.json_response(problem, status=400)
    return web.json_response(_tokens(account, with_refresh=grant_type == "authorization_code"))


@routes.post("/revoke")
async def revoke(request: web.Request) -> web.Response:
    """End a grant."""
    given = str((await request.post()).get("token"))
    store = request.app[STORE]
    account = store.by_refresh_token(given) or store.by_access_token(given)
    if account is None:
        return web.json_response({"error": "invalid_token"}, status=400)
    account.revoked = True
    account.access_tokens.clear()
    return web.json_response({})


def _tokens(account: Account, *, with_refresh: bool) -> dict[str, Any]:
    access_token = f"ya29.{secrets.token_urlsafe(24)}"
    account.access_tokens.add(access_token)
    answer = {
        "access_token": access_token,
        "expires_in": SECONDS,
        "token_type": "Bearer",
        "scope": " ".join(sorted(account.scopes)),
    }
    return answer | ({"refresh_token": account.refresh_token} if with_refresh else {})
