"""From an account to a running system and back: `make deploy` and `make destroy`."""
