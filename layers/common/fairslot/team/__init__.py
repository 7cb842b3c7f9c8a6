"""What an operator sets: coaches, calendars, teams and absences; and what a change does to appointments."""
