"""The dashboard of template.yaml draws what is measured, and everything that somebody asks for first."""

import json
import re
from collections.abc import Iterator
from typing import Any

from booking import app
from fairslot.http import measures, routing
from tests.support.cloudformation import resources, template
from tests.unit.test_template_alarms import ALARMS, EMITTED, MEASURED, looked_at

GIVEN = {"AWS::Region", "AWS::StackName"}


def widgets() -> list[dict[str, Any]]:
    """Return the widgets, with what CloudFormation fills in left as it is."""
    body = resources("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]["Fn::Sub"]
    found: list[dict[str, Any]] = json.loads(body)["widgets"]
    return found


def drawn() -> Iterator[tuple[str, str, str, str]]:
    """Yield namespace, metric, dimension and its value of each line; `.` is what the line before has."""
    for widget in widgets():
        before = [""] * 4
        for line in widget["properties"].get("metrics", []):
            fields = [one for one in line if isinstance(one, str)]
            before = [last if one == "." else one for one, last in zip(fields, before, strict=True)]
            yield before[0], before[1], before[2], before[3]


def test_every_line_is_measured() -> None:
    """By AWS of a resource of the stack, or by the code under the dimension that it has."""
    lines = list(drawn())
    assert len(lines) > 50
    for namespace, metric, dimension, value in lines:
        if namespace in MEASURED:
            label, kind, metrics = MEASURED[namespace]
            assert (dimension, metric in metrics) == (label, True)
            named = re.fullmatch(r"\$\{(\w+)(\.QueueName)?\}", value)
            assert named is not None
            assert named[1] in resources(kind)
        else:
            assert (namespace, dimension, value) == ("Fairslot", "service", "fairslot")
            assert EMITTED.fullmatch(metric), metric


def test_what_is_filled_in_is_there() -> None:
    """Every name in the text is a resource, or one that CloudFormation gives."""
    body = resources("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardBody"]["Fn::Sub"]
    names = {name.partition(".")[0] for name in re.findall(r"\$\{([\w:.]+)\}", body)}
    assert names <= template()["Resources"].keys() | GIVEN


def test_it_has_three_parts_that_do_not_overlap() -> None:
    """Operations, coaches and system; each widget has its place."""
    titles = [one["properties"]["markdown"] for one in widgets() if one["type"] == "text"]
    assert titles == ["# Operations", "# Coaches", "# System"]
    places = [
        (x, y)
        for one in widgets()
        for x in range(one["x"], one["x"] + one["width"])
        for y in range(one["y"], one["y"] + one["height"])
    ]
    assert len(places) == len(set(places))
    assert max(x for x, _ in places) < 24


def test_what_raises_an_alarm_is_drawn() -> None:
    """Whoever is woken by one sees its course."""
    shown = {(namespace, metric) for namespace, metric, _, _ in drawn()}
    for alarm in ALARMS.values():
        for one in looked_at(alarm):
            assert (one["Namespace"], one["MetricName"]) in shown


def test_every_reason_of_a_refusal_is_drawn() -> None:
    """Each code that the route of bookings declares is a line."""
    [contract] = [one for _, one in routing.declared(app.app) if one.measured == "Bookings"]
    codes = {one.code for one in contract.all_errors(has_body=True)} - {
        "INTERNAL_ERROR",
        "SERVICE_UNAVAILABLE",
    }
    shown = {metric for _, metric, _, _ in drawn()}
    assert {f"BookingsRefused{measures.refused_name(code)}" for code in codes} <= shown
