"""Stand-ins of the partner systems, slow and unreliable as the real ones are."""
