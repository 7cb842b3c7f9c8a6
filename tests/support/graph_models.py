"""Hold JSON to the models of Microsoft's SDK: members that it does not have, types and words that are wrong.

It runs in an environment of its own, which has the SDK: `.tools/msgraph/bin/python -I graph_models.py` reads
lines of JSON, {"model", "body"} or {"model", "names"}, and writes a line with a list of problems for each. A
model reads what it does not know without a word, so what it read is written again and compared.
"""

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

_MODELS = "msgraph.generated.models"
_SCHEDULE = "msgraph.generated.users.item.calendar.get_schedule"
_WHERE = {
    "Event": f"{_MODELS}.event",
    "EventCollectionResponse": f"{_MODELS}.event_collection_response",
    "CalendarCollectionResponse": f"{_MODELS}.calendar_collection_response",
    "Subscription": f"{_MODELS}.subscription",
    "ODataError": f"{_MODELS}.o_data_errors.o_data_error",
    "GetSchedulePostRequestBody": f"{_SCHEDULE}.get_schedule_post_request_body",
    "GetSchedulePostResponse": f"{_SCHEDULE}.get_schedule_post_response",
}
# OData's own members, which models leave alone.
_OF_ODATA = "@odata."


def problems(asked: dict[str, Any]) -> list[str]:
    """Return what a model does not know of a body, or of names of its members."""
    model = getattr(import_module(_WHERE[asked["model"]]), asked["model"])
    if "names" in asked:
        known = model().get_field_deserializers().keys()
        return [f"{name}: not a member" for name in asked["names"] if name not in known]
    reader = import_module("kiota_serialization_json.json_parse_node_factory").JsonParseNodeFactory()
    writer = import_module("kiota_serialization_json.json_serialization_writer").JsonSerializationWriter()
    content = json.dumps(asked["body"]).encode()
    read = reader.get_root_parse_node("application/json", content).get_object_value(model)
    writer.write_object_value(None, read)
    again = json.loads(writer.get_serialized_content())
    return [*_unknown("", read), *_lost("", asked["body"], again)]


def _unknown(where: str, read: Any) -> Iterator[str]:
    """Yield the members that a model put aside as unknown."""
    if isinstance(read, list):
        for one in read:
            yield from _unknown(where, one)
    if not hasattr(read, "get_field_deserializers"):
        return
    for name in read.additional_data:
        if not name.startswith(_OF_ODATA):
            yield f"{where}{name}: not a member"
    # Members are kept in a store by their names in Python.
    for name in dir(type(read)):
        if name.startswith("_") or name in {"additional_data", "backing_store"}:
            continue
        value = getattr(read, name, None)
        if isinstance(value, list) or hasattr(value, "get_field_deserializers"):
            yield from _unknown(f"{where}{name}.", value)


def _lost(where: str, given: Any, again: Any) -> Iterator[str]:
    """Yield what was read as nothing: a value of another type, or a word that is none of an enumeration's."""
    if isinstance(given, dict) and isinstance(again, dict):
        for name, value in given.items():
            if name.startswith(_OF_ODATA) or value is None:
                continue
            if again.get(name) is None:
                yield f"{where}{name}: {json.dumps(value)} is not taken"
            else:
                yield from _lost(f"{where}{name}.", value, again[name])
    elif isinstance(given, list) and isinstance(again, list):
        if len(given) != len(again):
            yield f"{where}: {len(given) - len(again)} of {len(given)} are not taken"
        for one, other in zip(given, again, strict=False):
            yield from _lost(where, one, other)
    elif type(given) is not type(again):
        yield f"{where}: {json.dumps(given)} was read as {json.dumps(again)}"


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(problems(json.loads(line))))  # noqa: T201  # the answer to who started it
