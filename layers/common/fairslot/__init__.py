"""Fairslot: bookable times, fair assignment of coaches, events that are never lost."""
