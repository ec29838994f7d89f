"""The table of metrics is what `/metrics` shows; nothing is counted under another name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from libs.common import metrics
from libs.common.events.tasks import (
    Answered,
    ChangesProposed,
    NothingToDo,
    ReviewDone,
    Superseded,
    TaskFailed,
    Usage,
)
from libs.common.launching.ended import count_end
from libs.common.metrics import METRICS


@pytest.fixture
def counted() -> Iterator[object]:
    """The value of one series, by its name as shown and its labels."""
    registry = CollectorRegistry()
    metrics.configure("test", registry=registry)
    yield lambda name, **labels: registry.get_sample_value(
        name, {key: str(value) for key, value in labels.items()}
    )
    metrics.shutdown()


def count_every_metric() -> None:
    for metric in METRICS:
        labels = dict.fromkeys(metric.labels, "x")
        if metric.type == "counter":
            metrics.count(metric.name, 2, **labels)
        elif metric.type == "gauge":
            metrics.gauge(metric.name, 0.5, **labels)
        else:
            metrics.observe(metric.name, metric.buckets[0], **labels)


def test_every_metric_of_the_table_is_shown_under_its_name(counted):
    count_every_metric()
    for metric in METRICS:
        labels = dict.fromkeys(metric.labels, "x")
        suffix = "_count" if metric.type == "histogram" else ""
        value = {"counter": 2, "gauge": 0.5, "histogram": 1}[metric.type]
        assert value == counted(f"{metric.shown}{suffix}", **labels), metric.name


@pytest.mark.usefixtures("counted")
def test_the_exposition_is_readable_and_has_our_buckets():
    count_every_metric()
    text = metrics.exposition().decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert {metric.shown.removesuffix("_total") for metric in METRICS} <= families.keys()
    for metric in METRICS:
        if metric.type == "histogram":
            bounds = [
                sample.labels["le"]
                for sample in families[metric.shown].samples
                if sample.name.endswith("_bucket")
            ]
            assert [*map(float, metric.buckets), float("inf")] == [float(b) for b in bounds]


def test_the_table_is_fit_to_be_a_document():
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert re.fullmatch(r"[a-z][a-z_]*[a-z]", metric.name)
        assert metric.meaning.endswith(".")
        assert bool(metric.buckets) == (metric.type == "histogram")
        assert list(metric.buckets) == sorted(metric.buckets)


def test_a_name_or_a_label_of_no_metric_is_our_mistake():
    with pytest.raises(KeyError):
        metrics.count("nothing_of_ours")
    with pytest.raises(AssertionError):
        metrics.count("webhooks_received", kind="x")


def test_before_it_is_set_up_nothing_is_counted_and_nothing_fails():
    count_every_metric()


def test_an_end_is_counted_with_its_stages_and_what_it_cost(counted):
    usage = Usage(model="m-1", input_tokens=10, output_tokens=3, cache_read_tokens=5, cost=0.25)
    stages = {"clone": 1.5, "start": 0.5, "session": 30.0, "made up": 1.0}
    count_end(
        "review", ReviewDone(task_id="t", head_sha="a", summary="", usage=usage, stages=stages)
    )
    count_end("review", TaskFailed(task_id="t", head_sha="a", reason="clone", stages={"clone": -1}))
    count_end("review", Superseded(task_id="t", head_sha="a", by="b"))

    ended = "gca_tasks_ended_total"
    assert 1 == counted(ended, kind="review", outcome="review_done", reason="")
    assert 1 == counted(ended, kind="review", outcome="task_failed", reason="clone")
    assert 1 == counted(ended, kind="review", outcome="superseded", reason="")
    assert 1.5 == counted("gca_clone_duration_seconds_sum", kind="review")
    assert 0.5 == counted("gca_session_start_duration_seconds_sum", kind="review")
    session = {"kind": "review", "outcome": "review_done"}
    assert 30 == counted("gca_session_duration_seconds_sum", **session)
    assert 10 == counted("gca_session_tokens_total", model="m-1", type="input")
    assert 0.25 == counted("gca_session_cost_total", model="m-1")


@pytest.mark.parametrize(
    ("kind", "outcome", "result"),
    [
        ("coding", "changes_proposed", partial(ChangesProposed, subject="", summary="", files=())),
        ("coding", "nothing_to_do", partial(NothingToDo, summary="done")),
        ("ask", "answered", partial(Answered, answer="Yes.")),
    ],
)
def test_coding_and_asking_count_what_they_cost_too(counted, kind, outcome, result):
    usage = Usage(model="m-1", input_tokens=10, cost=0.25)
    stages = {"clone": 1.5, "session": 30.0}
    count_end(kind, result(task_id="t", head_sha="a", usage=usage, stages=stages))
    assert 1.5 == counted("gca_clone_duration_seconds_sum", kind=kind)
    session = {"kind": kind, "outcome": outcome}
    assert 30 == counted("gca_session_duration_seconds_sum", **session)
    assert 10 == counted("gca_session_tokens_total", model="m-1", type="input")
    assert 0.25 == counted("gca_session_cost_total", model="m-1")


@pytest.mark.parametrize("model", ["", "a" * 65, "canary token", "a\nb"])
def test_a_strange_model_is_no_label(counted, model):
    usage = Usage(model=model, input_tokens=1)
    count_end("review", ReviewDone(task_id="t", head_sha="a", summary="", usage=usage))
    assert 1 == counted("gca_session_tokens_total", model="other", type="input")
