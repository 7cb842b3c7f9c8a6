"""Webhooks outside the VPC: one attempt at one delivery, its limits, and what follows from it."""
