"""A real function with an extension in its process; run by the runtime client, never imported by a test."""

import json
import os
from http.client import HTTPConnection
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any

from tests.integration.local.lambda_handlers import hold

_API = "/2020-01-01/extension/"
_orders: SimpleQueue[dict[str, Any]] = SimpleQueue()
_api = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def _call(method: str, path: str, headers: dict[str, str], body: object = None) -> tuple[str, bytes]:
    _api.request(method, _API + path, json.dumps(body), headers)
    response = _api.getresponse()
    return response.headers.get("Lambda-Extension-Identifier", ""), response.read()


def _extend(own: dict[str, str]) -> None:
    """Do what each event's order says before the next event is asked for."""
    while True:
        _, event = _call("GET", "event/next", own)
        order = _orders.get()
        folder = Path(order["folder"])
        if order["then"] == "crash":
            raise RuntimeError("on purpose")
        if order["then"] == "report a failure":
            _call("POST", "exit/error", own | {"Lambda-Extension-Function-Error-Type": "Fatal.Tried"}, {})
            return
        if order["then"] == "hold":
            hold(folder)
        fresh = folder / "event.new"
        fresh.write_bytes(event)
        fresh.rename(folder / "event")


_identifier, _ = _call("POST", "register", {"Lambda-Extension-Name": "tried"}, {"events": ["INVOKE"]})
_own = {"Lambda-Extension-Identifier": _identifier}
if "FAIL_AT_START" in os.environ:
    _call("POST", "init/error", _own | {"Lambda-Extension-Function-Error-Type": "Fatal.NotStarted"}, {})
else:
    Thread(target=_extend, args=(_own,), daemon=True).start()


def answer(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Leave the extension its order and return who has the request."""
    _orders.put(event)
    return {"pid": os.getpid(), "request_id": context.aws_request_id, "arn": context.invoked_function_arn}
