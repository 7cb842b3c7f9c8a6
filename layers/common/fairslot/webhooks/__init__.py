"""Webhooks inside the VPC: endpoints, deliveries, the outbox, dead letters and retention."""
