"""What every unit test shares."""

from hypothesis import settings

# A busy machine is no failure: only the suite's own time limit counts.
settings.register_profile("fairslot", deadline=None)
settings.load_profile("fairslot")
