"""Load on the running stack over HTTP, and what has to hold afterwards."""
