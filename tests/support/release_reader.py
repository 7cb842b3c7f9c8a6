"""The last release's code claims calendars that are due, and stores the reading that standard input has.

`python -P release_reader.py INSTANT`, with that release's package alone on the path, says on standard output
whose calendars it claimed.
"""

import json
import sys
from datetime import datetime
from functools import partial

from fairslot.coach_time import sync
from fairslot.messages.readings import Reading
from fairslot.platform import db

if __name__ == "__main__":
    now = datetime.fromisoformat(sys.argv[1])
    claimed = db.run(partial(sync.due, now=now))
    db.run(partial(sync.store, reading=Reading.from_json(sys.stdin.read())))
    sys.stdout.write(json.dumps([fetch.coach_id for fetch in claimed]))
