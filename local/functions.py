"""The functions of the template, with all that invokes them: gateway, queues, schedules."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from local.gateway import Gateway
from local.logs import Tell
from local.poller import Poller
from local.pools import Pool
from local.queue_client import QueueClient
from local.routes import Routes
from local.scheduler import Scheduler
from local.template import Function, Template

_DRAIN_SECONDS = 3.0
# The schedule's input that has the outbox swept.
_SWEEP = {"task": "outbox"}


class Functions:
    """The pools of all functions and their event sources.

    `environments` are the functions' variables by their names, `processes` the most of a
    function that answers HTTP and of one that does not. `note` gets what goes wrong, `tell` what should not.
    """

    def __init__(
        self,
        template: Template,
        environments: Mapping[str, Mapping[str, str]],
        logs: Path,
        *,
        processes: tuple[int, int],
        note: Callable[[str], None],
        tell: Tell,
    ) -> None:
        self._template = template
        self._logs = logs
        self._note = note
        self._tell = tell
        self.pools = {
            name: Pool(
                function.handler,
                environments[name],
                logs / f"{name}.log",
                most=_most(function, processes),
                seconds=function.timeout,
                tell=tell,
            )
            for name, function in template.functions.items()
        }

    async def warm(self) -> None:
        """Start one process of each function that answers HTTP, so that the first client need not wait."""
        await asyncio.gather(*(self.pools[one.name].warm() for one in self._all() if one.routes))

    def gateway(self, port: int) -> Gateway:
        """Return the HTTP front of all routes, not yet started."""
        routes = [(method, path, one.name) for one in self._all() for method, path in one.routes]
        return Gateway(Routes(routes), self.pools, self._logs / "gateway.log", port=port, tell=self._tell)

    def poll(self, client: QueueClient, stops: AsyncExitStack) -> None:
        """Begin to poll the queues; on stopping they all finish at the same time."""
        pollers = []
        for function in self._all():
            pool = self.pools[function.name]
            for source in function.queues:
                queue = self._template.queues[source.queue]
                most = min(pool.most, source.most_at_once or pool.most)
                url = self._template.queue_url(source.queue)
                pollers.append(
                    Poller(source, url, queue.arn, pool, client, most=most, note=self._note, tell=self._tell)
                )

        async def stop() -> None:
            await asyncio.gather(*(poller.stop(_DRAIN_SECONDS) for poller in pollers))

        stops.push_async_callback(stop)
        for poller in pollers:
            poller.start()

    def scheduler(self) -> Scheduler:
        """Return what fires the schedules, not yet started."""
        schedules = [
            (schedule, self.pools[function.name])
            for function in self._all()
            for schedule in function.schedules
        ]
        return Scheduler(schedules, self._note, tell=self._tell)

    async def sweep(self) -> None:
        """Sweep the outbox now, as its schedule does."""
        for function in self._all():
            if any(schedule.payload == _SWEEP for schedule in function.schedules):
                answer = await self.pools[function.name].invoke(json.dumps(_SWEEP).encode())
                if answer.error is not None:
                    self._note(f"the outbox was not swept: {answer.error}")

    async def stop(self) -> None:
        """Give what runs a moment to end, then kill every process."""
        await asyncio.gather(*(pool.stop(_DRAIN_SECONDS) for pool in self.pools.values()))

    def _all(self) -> list[Function]:
        return list(self._template.functions.values())


def _most(function: Function, processes: tuple[int, int]) -> int:
    most = processes[0] if function.routes else processes[1]
    return min(most, function.reserved or most)
