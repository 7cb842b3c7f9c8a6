"""What a month costs, idle and for each million bookings: from the template and a run of the benchmark.

`python -m tools.cost` prints the tables of docs/cost.md; `--write` puts them there.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tools.deploy.plan import ROOT, Plan, read, template

PRICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "tools/prices.yaml").read_text("utf-8"))
RUN = ROOT / "bench/results/5ee4d86.json"
PAGE = ROOT / "docs/cost.md"
HOURS = 730
MARKS = ("<!-- begin: python -m tools.cost --write -->\n", "<!-- end -->\n")
# Lambda gives a function of so many MB a whole processor, and a smaller one its part of it.
WHOLE_PROCESSOR_MB = 1769
# What the benchmark cannot say. Each is on the careful side.
SUBSCRIBER_SECONDS = 0.2  # what a partner takes to answer, while the dispatcher waits for it
DELIVERIES = 2  # of a booking: the CRM and the calendar
LOGGED_KB = (
    6  # of a booking with its page and deliveries: four lines of metrics, attempts, the platform's own
)
PAGE_KB = 20  # of a page of 1,000 coaches, compressed
RESULT_MS = 1.7  # processor time of recording a result: docs/decisions/0121
OTHER_MS = 300  # of a scheduled task


class Line(NamedTuple):
    """A line of a table: so much of a unit, at a price."""

    what: str
    amount: float
    price: str

    @property
    def dollars(self) -> float:
        """What it costs."""
        return self.amount * float(PRICES[self.price]["dollars"])


def idle(stage: str) -> Iterator[Line]:
    """Yield what a stage costs in a month in which nothing happens."""
    plan = read(stage, region=None, email=None)
    databases = 2 if plan.parameter("DatabaseMultiAZ") == "true" else 1
    storage = float(plan.parameter("DatabaseStorage"))
    yield Line("database, each instance", HOURS * databases, plan.parameter("DatabaseClass"))
    yield Line("its storage", storage * databases, "gp3")
    if plan.parameter("DatabaseProxy") == "true":
        yield Line("RDS Proxy", HOURS * 2, "proxy")
    if plan.parameter("Network") == "private":
        yield Line("endpoints of SQS, KMS and Lambda in two zones", HOURS * 6, "endpoint")
    if plan.parameter("Cache") == "serverless":
        yield Line("Valkey, the least that is billed", HOURS * 0.1, "valkey")
    yield Line("snapshots of the HTTP functions, two versions", snapshots() * 2 * HOURS * 3600, "snapstart")
    yield Line("key of the webhook secrets", _number("AWS::KMS::Key"), "kms")
    yield Line("secrets", _number("AWS::SecretsManager::Secret"), "secret")
    yield Line("alarms", sum(map(_metrics_of, _all("AWS::CloudWatch::Alarm"))), "alarm")
    yield Line("metrics of our own, all of them seen", len(own_metrics()), "metric")
    yield Line("dashboard", _number("AWS::CloudWatch::Dashboard"), "dashboard")
    yield from _schedules(plan)


def bookings() -> Iterator[Line]:
    """Yield what a million bookings cost, each with a page before it and its deliveries after it."""
    calls = {"AvailabilityFunction": 1, "BookingFunction": 1, "DispatchFunction": DELIVERIES}
    calls["ResultsFunction"] = DELIVERIES
    yield Line("requests at the gateway", 2, "http-api")
    yield Line("requests at CloudFront", 2, "cloudfront")
    yield Line("functions, calls", sum(calls.values()), "lambda-call")
    for name, number in calls.items():
        yield Line(f"{name}, {billed_ms(name):.1f} ms a call", number * gb_seconds(name) * 1e6, "lambda")
    # A message is sent, received and deleted, on two queues; batches would make it less.
    yield Line("queues, without batches", DELIVERIES * 2 * 3, "sqs")
    yield Line("secrets opened by the dispatcher, all asked for anew", 1, "kms-call")
    yield Line("Valkey, two commands each", 4, "valkey-ecpu")
    yield Line("logs", LOGGED_KB, "logs")
    yield Line("pages to clients", PAGE_KB, "transfer")


def billed_ms(name: str) -> float:
    """Return the milliseconds of a call, with the part of a processor that the function has."""
    whole = {
        "AvailabilityFunction": _handler("availability handler against its bare SQL, 6 x 7, p50"),
        "BookingFunction": _handler("booking handler against its database call, p50") + _after_answer(),
        "ResultsFunction": RESULT_MS,
        "DispatchFunction": 1000 / _figure("webhook dispatch, one worker")["value"],
    }[name]
    waiting = SUBSCRIBER_SECONDS * 1000 if name == "DispatchFunction" else 0.0
    return float(whole / min(1.0, _memory(name) / WHOLE_PROCESSOR_MB) + waiting)


def gb_seconds(name: str) -> float:
    """Return what a call is billed as; a millisecond that has begun counts."""
    return _memory(name) / 1024 * max(1.0, billed_ms(name)) / 1000


def snapshots() -> float:
    """Return the GB of one version of every function that starts from a snapshot."""
    return sum(_memory(name) for name, one in _functions().items() if "SnapStart" in one) / 1024


def own_metrics() -> set[str]:
    """Return the names of our metrics that the dashboard draws; the others come with faults."""
    body = template()["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    names = set()
    for widget in json.loads(body)["widgets"]:
        lines = widget["properties"].get("metrics", [])
        names |= {line[1] for line in lines if lines[0][0] == "Fairslot"}
    return names


def table(lines: list[Line]) -> str:
    """Return lines as a table with their sum."""
    rows = ["| what | amount | unit | $ a unit | verified | $ |", "|---|---|---|---|---|---|"]
    for one in lines:
        price = PRICES[one.price]
        verified = price.get("source", "no")
        rows.append(
            f"| {one.what} | {one.amount:,.6g} | {price['unit']} | {price['dollars']:.10g} | {verified} "
            f"| {one.dollars:.2f} |"
        )
    rows.append(f"| **together** | | | | | **{sum(one.dollars for one in lines):.2f}** |")
    return "\n".join(rows) + "\n"


def tables() -> str:
    """Return the tables of the page."""
    parts = [(f"## Idle, a month of {stage}", [*idle(stage)]) for stage in ("dev", "prod")]
    parts.append(("## A million bookings", [*bookings()]))
    return "\n".join(f"{title}\n{table(lines)}" for title, lines in parts)


def _schedules(plan: Plan) -> Iterator[Line]:
    """Yield the tasks that run whether or not anything happens."""
    number = seconds = 0.0
    for name, one in _functions().items():
        for event in one.get("Events", {}).values():
            if event["Type"] == "Schedule":
                times = HOURS * 60 / _minutes(event["Properties"]["Schedule"])
                number += times
                seconds += times * _memory(name) / 1024 * OTHER_MS / 1000
    yield Line(f"scheduled tasks of {plan.stage}, calls", number / 1e6, "lambda-call")
    yield Line(f"scheduled tasks, {OTHER_MS} ms each", seconds, "lambda")


def _minutes(rate: str) -> float:
    found = re.fullmatch(r"rate\((\d+) (minute|hour)s?\)", rate)
    if found is None:
        raise ValueError(rate)
    return int(found[1]) * {"minute": 1, "hour": 60}[found[2]]


def _functions() -> dict[str, dict[str, Any]]:
    found = template()["Resources"].items()
    return {name: one["Properties"] for name, one in found if one["Type"] == "AWS::Serverless::Function"}


def _memory(name: str) -> float:
    shared: int = template()["Globals"]["Function"]["MemorySize"]
    return float(_functions()[name].get("MemorySize", shared))


def _all(kind: str) -> list[dict[str, Any]]:
    return [one["Properties"] for one in template()["Resources"].values() if one["Type"] == kind]


def _number(kind: str) -> int:
    return len(_all(kind))


def _metrics_of(alarm: dict[str, Any]) -> int:
    return sum("MetricStat" in one for one in alarm["Metrics"]) if "Metrics" in alarm else 1


def _figure(name: str) -> dict[str, Any]:
    run = json.loads(RUN.read_text("utf-8"))
    return next(one for one in run["figures"] if one["name"] == name)


def _handler(name: str) -> float:
    """Return the handler's own milliseconds: the first number of the note, `1.91 of 1.14 ms`."""
    return float(_figure(name)["note"].split()[0])


def _after_answer() -> float:
    """Return the milliseconds of what is done after a booking's answer, which are billed, too."""
    moved = json.loads(RUN.read_text("utf-8"))["moved"]
    return float(next(one["cost"] for one in moved if "after the answer" in one["name"])) / 1000


def written(page: str) -> str:
    """Return the page with the tables as they are now."""
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}{tables()}{MARKS[1]}{after}"


def main(page: Path = PAGE) -> int:
    """Print the tables, or write them into the page."""
    if "--write" in sys.argv:
        page.write_text(written(page.read_text("utf-8")), "utf-8")
    else:
        print(tables())
    return 0


if __name__ == "__main__":
    sys.exit(main())
