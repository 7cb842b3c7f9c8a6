"""A team's time as bytes for Valkey, sealed with the database's key under the name of its entry."""

import hmac
import json
import zlib
from array import array
from dataclasses import asdict
from datetime import datetime

from fairslot.coach_time.team_bits import Part
from fairslot.coach_time.team_rules import OwnRules, Rules, Window
from fairslot.coach_time.team_time import TeamTime

_MAC_BYTES = 32


def seal(key: str, name: str, packed: bytes) -> bytes:
    """Return bytes with their authentication code, which also covers the entry's name; `key` is in hex."""
    return _mac(key, name, packed) + packed


def unseal(key: str, name: str, value: bytes) -> bytes | None:
    """Return what was sealed with the key under the name, None if the value is anything else."""
    code, packed = value[:_MAC_BYTES], value[_MAC_BYTES:]
    return packed if hmac.compare_digest(code, _mac(key, name, packed)) else None


def _mac(key: str, name: str, packed: bytes) -> bytes:
    text = name.encode()
    return hmac.digest(bytes.fromhex(key), len(text).to_bytes(4) + text + packed, "sha256")


def pack(team: TeamTime, kept_at: datetime) -> bytes:
    """Return a team's time, compressed."""
    about = {
        "kept_at": kept_at.isoformat(),
        "calendar_id": team.calendar_id,
        "window": asdict(team.window),
        "coaches": team.coaches,
        "full": {str(number): hex(slots) for number, slots in team.full.items()},
        "closed": {str(number): hex(slots) for number, slots in team.closed.items()},
        "own": {name: list(values) for name, values in vars(team.own).items()},
        "failing": sorted(team.failing),
        "snapshot": team.snapshot,
        "team_snapshot": team.team_snapshot,
        "rules": None if team.rules is None else asdict(team.rules),
        "counts": team.everybody.counts,
        "late": {str(notice): counts for notice, counts in team.everybody.late.items()},
    }
    text = json.dumps(about, separators=(",", ":")).encode()
    parts = (len(text).to_bytes(4), text, team.read_at.tobytes(), team.free, team.open)
    return zlib.compress(b"".join(parts), 1)


def unpack(packed: bytes) -> tuple[TeamTime, datetime]:
    """Return what pack() was given; the bytes must be authentic."""
    raw = zlib.decompress(packed)
    end = 4 + int.from_bytes(raw[:4])
    about = json.loads(raw[4:end])
    window, coaches = Window(**about["window"]), about["coaches"]
    read_at = array("d")
    bits = end + len(coaches) * read_at.itemsize
    read_at.frombytes(raw[end:bits])
    rows = len(coaches) * window.size
    team = TeamTime(
        calendar_id=about["calendar_id"],
        window=window,
        coaches=coaches,
        free=bytearray(raw[bits : bits + rows]),
        open=bytearray(raw[bits + rows :]),
        full={int(number): int(slots, 16) for number, slots in about["full"].items()},
        closed={int(number): int(slots, 16) for number, slots in about["closed"].items()},
        own=OwnRules(**{name: array("i", values) for name, values in about["own"].items()}),
        read_at=read_at,
        failing=set(about["failing"]),
        snapshot=about["snapshot"],
        team_snapshot=about["team_snapshot"],
        rules=about["rules"] and Rules(**about["rules"]),
        whole=Part(
            numbers=range(len(coaches)),
            counts=about["counts"],
            late={int(notice): counts for notice, counts in about["late"].items()},
        ),
    )
    return team, datetime.fromisoformat(about["kept_at"])
