"""A stand-in of Google Calendar: `python -m local.partners.google --port 3003 --data DIR`.

It does what the reference of the Calendar API v3 says of the calls that are used here, and the tests hold its
answers to Google's discovery document. Nobody has compared it with Google itself. Faults: as in `faults`
(GOOGLE_FAILURE_RATE and so on), and of single requests as in `next_faults`. The state ends with the process.

POST /control/accounts  {"email", …} as in `google_control` -> {"refresh_token", "access_token"}
POST /control/revoke    {"email"}    the grant ends
POST /control/expire    {"email"}    the access tokens end
POST /control/unshare   {"email"}    the calendar is gone
POST /control/events    {"email", "event"}    an event that is not ours, of any kind
GET  /control/events, /control/channels  ?email=
GET  /control/tokens    ?email=     what its grant has given
GET  /control/calls     what was called since the start
"""

from pathlib import Path

from aiohttp import web

from local.partners import google_channels, google_control, google_events, google_oauth, server
from local.partners.faults import Faults, add_faults
from local.partners.google_answers import let_in
from local.partners.google_oauth import STORE
from local.partners.google_store import Store
from local.partners.next_faults import add_next_faults


def build(_data: Path, faults: Faults | None = None) -> web.Application:
    """Make the application."""
    app = web.Application()
    app[STORE] = Store()
    for part in (google_oauth, google_channels, google_events, google_control):
        app.add_routes(part.routes)
    app.cleanup_ctx.append(google_channels.lifetime)
    add_faults(app, faults or Faults.from_environment("GOOGLE"))
    add_next_faults(app)
    app.middlewares.append(let_in)
    return app


if __name__ == "__main__":
    server.main(build, port=3003, description="Stand-in of Google Calendar.")
