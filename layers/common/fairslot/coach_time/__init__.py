"""When coaches can be booked, and what their calendars say."""
