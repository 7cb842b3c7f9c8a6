"""CloudWatch: alarms on an expression of several metrics, which ministack refuses."""

from collections.abc import Callable
from typing import Any

from ministack.services.cloudformation import provisioners  # type: ignore[import-not-found]

# What an alarm on one metric says, and one on an expression must not.
_OF_ONE_METRIC = {
    *("MetricName", "Namespace", "Dimensions"),
    *("Period", "Statistic", "ExtendedStatistic", "Unit"),
}


def correct() -> None:
    """Keep an alarm on an expression as CloudWatch describes it; nobody evaluates it here."""
    provisioners._cw_metric_alarm_record = _with_expressions(provisioners._cw_metric_alarm_record)  # noqa: SLF001


def _with_expressions(record: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def recorded(name: str, properties: dict[str, Any]) -> dict[str, Any]:
        queries = properties.get("Metrics")
        if not queries:
            return record(name, properties)
        _refuse(queries, properties)
        rest = {key: value for key, value in properties.items() if key != "Metrics"}
        made = record(name, rest | {"MetricName": name, "Namespace": name})
        # Without a metric's name it is never evaluated.
        return {key: value for key, value in made.items() if key not in _OF_ONE_METRIC} | {"Metrics": queries}

    return recorded


def _refuse(queries: list[dict[str, Any]], properties: dict[str, Any]) -> None:
    """Refuse what CloudWatch refuses.

    "If you use the Metrics parameter, you cannot include the Namespace, MetricName, Dimensions, Period, Unit,
    Statistic, or ExtendedStatistic parameters"; "you must specify either Expression or MetricStat but not
    both"; "specify True for this value for only the one math expression that the alarm is based on": Amazon
    CloudWatch API Reference, PutMetricAlarm and MetricDataQuery.
    """
    if beside := sorted(_OF_ONE_METRIC & properties.keys()):
        raise ValueError(f"an alarm with Metrics cannot have {', '.join(beside)} beside them")
    for query in queries:
        if ("Expression" in query) == ("MetricStat" in query):
            raise ValueError(f"{query['Id']} must have either Expression or MetricStat")
    returned = [query["Id"] for query in queries if _is_returned(query)]
    if len(returned) != 1:
        raise ValueError(f"exactly one of Metrics must return data, and these do: {', '.join(returned)}")


def _is_returned(query: dict[str, Any]) -> bool:
    # CloudFormation hands on booleans and their names alike.
    return str(query.get("ReturnData", True)).lower() == "true"
