"""The calendars that coaches keep elsewhere: one interface, a module a kind, and what bounds reading them."""
