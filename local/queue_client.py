"""The SQS calls that the local stack needs, over the JSON protocol and asyncio."""

import json
from collections.abc import Sequence
from typing import Any

import aiohttp

_BATCH_SIZE = 10


class QueueError(Exception):
    """The queue service refused a call or could not be reached."""


class QueueClient:
    """Calls one endpoint; queues are given by URL, messages as ReceiveMessage returned them."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._session: aiohttp.ClientSession | None = None

    async def create(self, name: str, attributes: dict[str, str]) -> None:
        """Create a queue, or set the attributes of the one that exists."""
        url = (await self._call("CreateQueue", {"QueueName": name}))["QueueUrl"]
        if attributes:
            await self._call("SetQueueAttributes", {"QueueUrl": url, "Attributes": attributes})

    async def receive(self, queue: str, limit: int, wait: int) -> list[dict[str, Any]]:
        """Return up to `limit` messages, waiting up to `wait` seconds for the first."""
        request = {
            "QueueUrl": queue,
            "MaxNumberOfMessages": min(limit, _BATCH_SIZE),
            "WaitTimeSeconds": wait,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        messages: list[dict[str, Any]] = (await self._call("ReceiveMessage", request)).get("Messages", [])
        return messages

    async def delete(self, queue: str, messages: Sequence[dict[str, Any]]) -> list[str]:
        """Delete messages; return the ids of those not deleted because their receipt handle had expired."""
        return await self._batches("DeleteMessageBatch", queue, messages, {})

    async def make_visible(self, queue: str, messages: Sequence[dict[str, Any]]) -> list[str]:
        """Make messages visible now; return the ids of those that could not be."""
        return await self._batches("ChangeMessageVisibilityBatch", queue, messages, {"VisibilityTimeout": 0})

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _batches(
        self, action: str, queue: str, messages: Sequence[dict[str, Any]], extra: dict[str, Any]
    ) -> list[str]:
        failed: list[str] = []
        for start in range(0, len(messages), _BATCH_SIZE):
            batch = messages[start : start + _BATCH_SIZE]
            entries = [
                {"Id": str(place), "ReceiptHandle": one["ReceiptHandle"], **extra}
                for place, one in enumerate(batch)
            ]
            answer = await self._call(action, {"QueueUrl": queue, "Entries": entries})
            failed += [batch[int(one["Id"])]["MessageId"] for one in answer.get("Failed", [])]
        return failed

    async def _call(self, action: str, request: dict[str, Any]) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"Content-Type": "application/x-amz-json-1.0"},
                connector=aiohttp.TCPConnector(limit=0),
            )
        try:
            async with self._session.post(
                self._endpoint,
                data=json.dumps(request),
                headers={"X-Amz-Target": f"AmazonSQS.{action}"},
                timeout=aiohttp.ClientTimeout(total=30),
            ) as response:
                answer: dict[str, Any] = json.loads(await response.read() or b"{}")
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise QueueError(f"{action}: {error!r}") from error
        if response.status != 200:  # noqa: PLR2004
            raise QueueError(f"{action}: {answer}")
        return answer
