"""What needs nothing but the standard library."""
