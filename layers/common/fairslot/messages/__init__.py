"""The messages of each queue: one contract per queue, used by its writer and its reader."""
