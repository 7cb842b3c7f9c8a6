"""Appointments, holds and calendar events."""

from fairslot.platform.start import importing

with importing():
    from booking import appointment_changes, appointments, calendar_events, holds
    from fairslot.http import api

app = api.resolver()
app.include_router(appointments.router)
app.include_router(appointment_changes.router)
app.include_router(holds.router)
app.include_router(calendar_events.router)

lambda_handler = api.handler(app)
