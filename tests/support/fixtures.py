"""The types of what fixtures give."""

from collections.abc import Callable
from datetime import datetime

from fairslot.platform.db import Connection

type Connect = Callable[[], Connection]
type Environment = Callable[..., None]
type Clock = Callable[[datetime], None]
