"""Real functions for the tests of the local stack; run by the runtime client, never imported by a test."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

_BOUND_SECONDS = 30.0


def answer(event: dict[str, Any], context: Any) -> Any:
    """Do what the event asks for and return the event, this process and what the runtime says."""
    do = event.get("do")
    if do == "raise":
        raise ValueError(event["message"])
    if do == "exit":
        os._exit(3)
    if do == "be killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "large":
        return "x" * event["size"]
    if do == "environment":
        return dict(os.environ)
    if do == "hold":
        hold(Path(event["folder"]))
    if do == "say":
        sys.stdout.write(event["words"] + "\n")
    return {
        "event": event,
        "pid": os.getpid(),
        "function": context.function_name,
        "memory": context.memory_limit_in_mb,
        "remaining": context.get_remaining_time_in_millis(),
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
    }


def http(event: dict[str, Any], context: Any) -> Any:
    """Answer with the event itself, or as the query says."""
    query = event.get("queryStringParameters", {})
    if query.get("do") == "raise":
        raise ValueError("as asked")
    if query.get("do") == "hold":
        hold(Path(query["folder"]))
    if "answer" in query:
        return json.loads(query["answer"])
    return event


def messages(event: dict[str, Any], context: Any) -> Any:
    """Note each batch in a file of the folder that its messages name, and fail those that ask for it."""
    bodies = [json.loads(one["body"]) for one in event["Records"]]
    folder = Path(bodies[0]["folder"])
    number = len(list(folder.glob("batch-*")))
    fresh = folder / f"new-{os.getpid()}"
    fresh.write_text(json.dumps(event["Records"]))
    fresh.rename(folder / f"batch-{number}")
    if any(one.get("do") == "hold" for one in bodies):
        hold(folder)
    if any(one.get("do") == "raise" for one in bodies):
        raise ValueError("as asked")
    failed = [
        one["messageId"]
        for one, body in zip(event["Records"], bodies, strict=True)
        if body.get("do") == "fail"
    ]
    return {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}


def hold(folder: Path) -> None:
    """Say in the folder that this process is busy, and stay so until it holds a file `go`."""
    (folder / f"held-{os.getpid()}-{time.monotonic_ns()}").touch()
    deadline = time.monotonic() + _BOUND_SECONDS
    while not (folder / "go").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
