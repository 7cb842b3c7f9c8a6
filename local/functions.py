"""The functions of the template, and what invokes them: gateway, queues, schedules."""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from local.gateway import Gateway
from local.logs import Warn
from local.poller import Poller
from local.pools import Pool
from local.queue_client import QueueClient
from local.routes import Routes
from local.scheduler import Scheduler
from local.template import Function, Template

_DRAIN_SECONDS = 3.0
# The input of the schedule that sweeps the outbox.
_SWEEP = {"task": "outbox"}


class Functions:
    """The pools of all functions and their event sources.

    `environments` are each function's variables, `http_processes` and `queue_processes` the most processes
    of a function that serves HTTP and of one that does not. `log` gets failures that are retried, `warn`
    those that should not happen.
    """

    def __init__(
        self,
        template: Template,
        environments: Mapping[str, Mapping[str, str]],
        logs: Path,
        *,
        http_processes: int,
        queue_processes: int,
        log: Callable[[str], None],
        warn: Warn,
    ) -> None:
        self._template = template
        self._logs = logs
        self._log_line = log
        self._warn = warn
        self.pools = {
            name: Pool(
                function.handler,
                environments[name],
                logs / f"{name}.log",
                max_processes=_max_processes(function, http_processes, queue_processes),
                seconds=function.timeout,
                behind=not function.routes,
                warn=warn,
            )
            for name, function in template.functions.items()
        }

    async def warm(self) -> None:
        """Start one process of each function that serves HTTP, so that the first client does not wait."""
        await asyncio.gather(*(self.pools[one.name].warm() for one in self._all() if one.routes))

    def gateway(self, port: int) -> Gateway:
        """Return the gateway of all routes, not yet started."""
        routes = [(method, path, one.name) for one in self._all() for method, path in one.routes]
        return Gateway(Routes(routes), self.pools, self._logs / "gateway.log", port=port, warn=self._warn)

    def poll(self, client: QueueClient, stops: AsyncExitStack) -> None:
        """Begin to poll the queues; `stops` stops them all at the same time."""
        pollers = []
        for function in self._all():
            pool = self.pools[function.name]
            for source in function.queues:
                queue = self._template.queues[source.queue]
                poller = Poller(
                    source,
                    self._template.queue_url(source.queue),
                    queue.arn,
                    pool,
                    client,
                    max_batches=min(pool.max_processes, source.max_concurrency or pool.max_processes),
                    log=self._log_line,
                    warn=self._warn,
                )
                pollers.append(poller)

        async def stop() -> None:
            await asyncio.gather(*(poller.stop(_DRAIN_SECONDS) for poller in pollers))

        stops.push_async_callback(stop)
        for poller in pollers:
            poller.start()

    def scheduler(self) -> Scheduler:
        """Return the scheduler, not yet started."""
        schedules = [
            (schedule, self.pools[function.name])
            for function in self._all()
            for schedule in function.schedules
        ]
        return Scheduler(schedules, self._log_line, warn=self._warn)

    async def sweep(self) -> None:
        """Sweep the outbox now, as its schedule does."""
        for function in self._all():
            if any(schedule.payload == _SWEEP for schedule in function.schedules):
                answer = await self.pools[function.name].invoke(json.dumps(_SWEEP).encode())
                if answer.error is not None:
                    self._log_line(f"the outbox was not swept: {answer.error}")

    async def stop(self) -> None:
        """Give what runs a moment to end, then kill every process."""
        await asyncio.gather(*(pool.stop(_DRAIN_SECONDS) for pool in self.pools.values()))

    def _all(self) -> list[Function]:
        return list(self._template.functions.values())


def _max_processes(function: Function, http_processes: int, queue_processes: int) -> int:
    limit = http_processes if function.routes else queue_processes
    return min(limit, function.reserved or limit)
