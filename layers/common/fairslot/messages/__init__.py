"""What travels over each queue: one contract, used by both ends."""
