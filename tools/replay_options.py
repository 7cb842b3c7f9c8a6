"""The command line of `make replay` and `make what-if`, and which database they read."""

import argparse
import json
import os
from math import isfinite, nan
from pathlib import Path

from fairslot.domain.fair_share import HIGHEST_SCORE
from local.stack_options import StackOptions

_PICTURES = (".png", ".svg", ".pdf")
_STEEPEST = 100  # a higher power of a score may overflow


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line; exits with a message if it is invalid."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.replay", description="Recompute every recorded decision."
    )
    parser.add_argument("--calendar", metavar="ID", help="only this calendar")
    parser.add_argument("--what-if", action="store_true", help="then run the same history under another rule")
    parser.add_argument("--policy", choices=["fair_share", HIGHEST_SCORE], help="the what-if's policy")
    parser.add_argument("--gamma", type=_exponent, help="the what-if's weight exponent, 0 to 100")
    parser.add_argument("--low", type=_weight, help="the what-if's lowest weight, above 0")
    parser.add_argument("--high", type=_weight, help="the what-if's highest weight, above 0")
    parser.add_argument(
        "--plot", type=_picture, metavar="FILE", help="draw the deviations over time (png, svg, pdf)"
    )
    options = parser.parse_args(arguments)
    given = [options.policy, options.gamma, options.low, options.high]
    if options.what_if and given == [None] * 4:
        parser.error("--what-if needs at least one of --policy, --gamma, --low, --high")
    if not options.what_if and (given != [None] * 4 or options.plot):
        parser.error("--policy, --gamma, --low, --high and --plot need --what-if")
    return options


def _exponent(text: str) -> float:
    """Read a weight exponent in the range that the calendars table allows."""
    value = _number(text)
    if not 0 <= value <= _STEEPEST:
        raise argparse.ArgumentTypeError(f"{text} is not from 0 to {_STEEPEST}")
    return value


def _weight(text: str) -> float:
    """Read a weight limit in the range that the calendars table allows."""
    value = _number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is not a number")
    return value


def _picture(text: str) -> Path:
    """Read the name of a picture to write: a known format, in a folder that exists."""
    file = Path(text)
    if file.suffix.lower() not in _PICTURES:
        raise argparse.ArgumentTypeError(f"{text} does not end in one of {', '.join(_PICTURES)}")
    if not file.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {file.parent}")
    return file


def database_url() -> str | None:
    """Return DATABASE_URL, or the database of the local stack on FAIRSLOT_DATA; None if there is neither."""
    if url := os.environ.get("DATABASE_URL"):
        return url
    state = StackOptions.from_environment(os.environ).data / "stack.json"
    if not state.exists():
        return None
    return str(json.loads(state.read_text("utf-8"))["database_url"])
