"""What keeps the promises, and the proof that the tests would notice if it did not."""
