"""Administration: team, calendars, keys, endpoints, deliveries, signed calendar events, audit, contacts."""

from fairslot.platform.start import importing

with importing():
    from admin import (
        absences,
        audit,
        calendars,
        coaches,
        connections,
        contacts,
        deliveries,
        document,
        endpoints,
        inbound_secret,
        keys,
        ledger,
        sources,
        team,
    )
    from fairslot.http import api

app = api.resolver()
for module in (
    endpoints,
    deliveries,
    inbound_secret,
    coaches,
    absences,
    connections,
    sources,
    calendars,
    team,
    document,
    ledger,
    keys,
    audit,
    contacts,
):
    app.include_router(module.router)

lambda_handler = api.handler(app)
