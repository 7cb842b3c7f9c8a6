"""Administration: webhook endpoints, deliveries, and the secret of signed calendar events."""

from admin import deliveries, endpoints, inbound_secret
from fairslot.http import api

app = api.resolver()
app.include_router(endpoints.router)
app.include_router(deliveries.router)
app.include_router(inbound_secret.router)

lambda_handler = api.handler(app)
