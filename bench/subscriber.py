"""A subscriber in a process of its own that answers every request at once, with its clock as the CRM's id."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def subscriber_url() -> Iterator[str]:
    """Run the subscriber and return its address."""
    command = [sys.executable, __file__]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  # this file
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip() if process.stdout else ''}"
    finally:
        process.kill()
        process.communicate()


async def serve() -> None:
    """Print the port and answer until killed."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"success":true,"crm_id":"%.6f"}' % time.monotonic()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
