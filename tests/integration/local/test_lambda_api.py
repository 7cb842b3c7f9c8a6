"""Lambda's API on one machine, called by the client that the functions have."""

import asyncio
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fairslot.platform import aws
from local.lambda_api import LambdaApi
from local.runtime_api import Answer, failure


class Double:
    """A function that says what it got, twice, or fails."""

    async def invoke(self, event: bytes) -> Answer:
        """Run it."""
        given = json.loads(event)
        if given == "fail":
            return failure("ValueError", "no")
        return Answer(json.dumps([given, given]).encode())


def invoke(api: LambdaApi, name: str, event: object, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Invoke a function as another one does."""
    for variable, value in api.environment.items():
        monkeypatch.setenv(variable, value)
    client = aws.client("lambda", connect_seconds=5, read_seconds=5, attempts=1)
    answer: dict[str, Any] = client.invoke(FunctionName=name, Payload=json.dumps(event))
    return {"error": answer.get("FunctionError"), "payload": json.loads(answer["Payload"].read())}


def test_a_function_is_invoked_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer comes back, or that it failed; one that there is not is an error of the call."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")

    async def work() -> None:
        api = LambdaApi()
        api.functions = {"double": Double()}
        await api.start()
        try:
            made = await asyncio.to_thread(invoke, api, "double", {"a": "ö"}, monkeypatch)
            assert made == {"error": None, "payload": [{"a": "ö"}, {"a": "ö"}]}
            failed = await asyncio.to_thread(invoke, api, "double", "fail", monkeypatch)
            assert failed["error"] == "Unhandled"
            with pytest.raises(ClientError, match="ResourceNotFoundException"):
                await asyncio.to_thread(invoke, api, "other", {}, monkeypatch)
        finally:
            await api.stop()

    asyncio.run(work())
