"""Appointments, holds, why a coach was chosen, and how the work is shared."""
