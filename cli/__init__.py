"""The command `fairslot`: a team and its bookings from a terminal, over the HTTP API alone."""
