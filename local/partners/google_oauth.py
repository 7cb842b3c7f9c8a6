"""The OAuth endpoints of the stand-in of Google: an account consents at once, or refuses."""

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from local.partners.google_store import Account, Code, Store

STORE = web.AppKey("store", Store)
SECONDS = 3_600
_ASSERTION = "urn:ietf:params:oauth:grant-type:jwt-bearer"
routes = web.RouteTableDef()


@routes.get("/o/oauth2/v2/auth")
async def authorize(request: web.Request) -> web.Response:
    """Send whoever `login_hint` names, or the first account, back with a code."""
    query, store = request.query, request.app[STORE]
    account = store.accounts.get(query.get("login_hint", "")) or next(iter(store.accounts.values()), None)
    if account is None or query.get("code_challenge_method") != "S256" or "code_challenge" not in query:
        return web.json_response({"error": "invalid_request"}, status=400)
    back = {"state": query.get("state", "")}
    if account.refuses:
        back["error"] = "access_denied"
    else:
        account.scopes = set(query.get("scope", "").split()) - account.unticked
        back["code"] = secrets.token_urlsafe(24)
        store.codes[back["code"]] = Code(account.email, query["code_challenge"], query["redirect_uri"])
    raise web.HTTPFound(f"{query['redirect_uri']}?{urlencode(back)}")


@routes.post("/token")
async def token(request: web.Request) -> web.Response:
    """Exchange a code, refresh, or take a service account's assertion, whose signature is not checked."""
    form = {name: str(value) for name, value in (await request.post()).items()}
    store, grant_type = request.app[STORE], form.get("grant_type")
    if grant_type == _ASSERTION:
        return _of_assertion(store, form.get("assertion", ""))
    if grant_type == "refresh_token":
        account = store.by_refresh_token(form.get("refresh_token", ""))
    elif grant_type == "authorization_code":
        account = _of_code(store, form)
    else:
        return web.json_response({"error": "unsupported_grant_type"}, status=400)
    if account is None:
        problem = {"error": "invalid_grant", "error_description": "Token has been expired or revoked."}
        return web.json_response(problem, status=400)
    is_new = grant_type == "authorization_code"
    return web.json_response(_tokens(account) | ({"refresh_token": account.refresh_token} if is_new else {}))


def _of_code(store: Store, form: dict[str, str]) -> Account | None:
    """Return whose code it is, which is good for once, and begin a new grant."""
    code = store.codes.pop(form.get("code", ""), None)
    digest = sha256(form.get("code_verifier", "").encode()).digest()
    challenge = urlsafe_b64encode(digest).decode().rstrip("=")
    if code is None or (challenge, form.get("redirect_uri")) != (code.challenge, code.redirect_uri):
        return None
    account = store.accounts.get(code.email)
    if account is not None:
        account.revoked, account.refresh_token = False, f"1//{secrets.token_urlsafe(24)}"
    return account


def _of_assertion(store: Store, assertion: str) -> web.Response:
    """Answer a service account, where the organization of whom it names lets it act for them."""
    try:
        part = assertion.split(".")[1]
        claims = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return web.json_response({"error": "invalid_grant"}, status=400)
    account = store.accounts.get(claims.get("sub", ""))
    if account is None:
        return web.json_response({"error": "invalid_grant", "error_description": "Invalid email"}, status=400)
    if not account.delegated or not set(claims.get("scope", "").split()) <= account.scopes:
        return web.json_response({"error": "unauthorized_client"}, status=401)
    return web.json_response(_tokens(account))


@routes.post("/revoke")
async def revoke(request: web.Request) -> web.Response:
    """End a grant."""
    given = str((await request.post()).get("token"))
    store = request.app[STORE]
    account = store.by_refresh_token(given) or store.by_access_token(given)
    if account is None:
        return web.json_response({"error": "invalid_token"}, status=400)
    account.revoke()
    return web.json_response({})


def new_access_token(account: Account) -> str:
    """Return another access token of the account."""
    access_token = f"ya29.{secrets.token_urlsafe(24)}"
    account.access_tokens.add(access_token)
    return access_token


def _tokens(account: Account) -> dict[str, Any]:
    return {
        "access_token": new_access_token(account),
        "expires_in": SECONDS,
        "token_type": "Bearer",
        "scope": " ".join(sorted(account.scopes)),
    }
