"""Fairslot: bookable times, fair assignment of coaches, events that are never lost."""

import zoneinfo

__version__ = "0.1.0"

# Zones come from the pinned package alone: what a machine has besides may be of another year, and functions
# that count a coach's day differently would each cut it their own way.
zoneinfo.reset_tzpath(())
