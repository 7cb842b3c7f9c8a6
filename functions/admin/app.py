"""Administration: team, calendars, API keys, webhook endpoints, deliveries, audit, and signed calendar events."""

from admin import (
    absences,
    audit,
    calendars,
    coaches,
    contacts,
    deliveries,
    document,
    endpoints,
    inbound_secret,
    keys,
    team,
)
from fairslot.http import api

app = api.resolver()
_MODULES = (
    endpoints,
    deliveries,
    inbound_secret,
    coaches,
    absences,
    calendars,
    team,
    document,
    keys,
    audit,
    contacts,
)
for module in _MODULES:
    app.include_router(module.router)

lambda_handler = api.handler(app)
