"""Prometheus' rules and Grafana's panels ask in PromQL, for metrics and labels that there are."""

import json

import promql_parser
import pytest

from cloudwatch_client import run

# What an exporter adds to a metric's own labels, and to the name of a distribution.
QUANTILE = "quantile"
SUFFIXES = ("", "_count", "_sum")


def rules():
    [group] = json.loads(run("prometheus"))["groups"]
    return {rule["alert"]: rule["expr"] for rule in group["rules"]}


def panels():
    dashboard = json.loads(run("grafana"))
    return {
        f"{panel['title']}, {target['refId']}": target["expr"].replace("$__rate_interval", "5m")
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    }


@pytest.fixture(scope="module")
def labels():
    """The labels of every series that there is, by its name."""
    return {
        metric["name"] + suffix: {*metric["labels"], *([QUANTILE] if suffix == "" else [])}
        if metric["kind"] == "Histogram"
        else set(metric["labels"])
        for metric in json.loads(run("metrics"))
        for suffix in (SUFFIXES if metric["kind"] == "Histogram" else [""])
    }


def parts(expression):
    """An expression and all that it is made of."""
    yield expression
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        inner = getattr(expression, name, None)
        if inner is not None:
            yield from parts(inner)
    for argument in getattr(expression, "args", None) or []:
        yield from parts(argument)


@pytest.mark.parametrize("documents", [rules, panels])
def test_every_query_asks_for_what_there_is(documents, labels):
    queries = documents()
    assert len(queries) > 5
    for title, query in queries.items():
        # Raises where it is no PromQL.
        expression = promql_parser.parse(query)
        selected = [part for part in parts(expression) if isinstance(part, promql_parser.VectorSelector)]
        assert selected, title
        for selector in selected:
            assert selector.name in labels, f"{title}: {selector.name}"
            matched = {matcher.name for matcher in selector.matchers.matchers}
            assert matched <= labels[selector.name], f"{title}: {matched}"
        grouped = {
            label
            for part in parts(expression)
            if isinstance(part, promql_parser.AggregateExpr) and part.modifier
            for label in part.modifier.labels
        }
        assert grouped <= set.intersection(*(labels[selector.name] for selector in selected)), f"{title}: {grouped}"
