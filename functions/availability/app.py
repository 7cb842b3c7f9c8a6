"""When calendars can be booked, how the work is shared, and whether the deployment is healthy."""

from fairslot.platform.start import importing

with importing():
    from availability import health, shares, soon_starts, starts
    from fairslot.http import api

app = api.resolver()
app.include_router(starts.router)
app.include_router(soon_starts.router)
app.include_router(shares.router)
app.include_router(health.router)

lambda_handler = api.handler(app)
