"""`charts/stack/files/dashboard.json`: the Grafana dashboard, from a table of its panels.

Called by `pages`. A test holds the names in it to `libs.common.metrics`.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

UID = "gitlab-copilot-agent"
SOURCE = {"type": "prometheus", "uid": "${source}"}
WIDTH, HEIGHT, COLUMNS = 8, 8, 24


class Panel(NamedTuple):
    """`queries` by legend; `kind` and `unit` as Grafana calls them."""

    title: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"


def _rate(metric: str, by: str = "", match: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{match}[$__rate_interval]))"


def _quantiles(metric: str, by: str = "") -> dict[str, str]:
    labels = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    rate = _rate(f"{metric}_bucket", labels)
    return {f"{part:.0%}{legend}": f"histogram_quantile({part}, {rate})" for part in (0.5, 0.95)}


PANELS = (
    Panel("Open tasks", {"open": "max(gca_tasks_open)"}, kind="stat"),
    Panel("Jobs at once", {"slots in use": "max(gca_slots_in_use)"}, kind="stat"),
    Panel("Log in use", {"share": "max(gca_log_fill_ratio)"}, "percentunit", "stat"),
    Panel("Webhooks", {"{{outcome}}": _rate("gca_webhooks_received_total", "outcome")}, "reqps"),
    Panel("Webhooks that stay away", {"projects": "max(gca_hooks_missing)"}),
    Panel(
        "Looks at GitLab and Jira",
        {
            "gitlab {{outcome}}": _rate("gca_gitlab_polls_total", "outcome"),
            "jira {{outcome}}": _rate("gca_jira_polls_total", "outcome"),
        },
        "ops",
    ),
    Panel(
        "Tasks that ended",
        {"{{kind}} {{outcome}}": _rate("gca_tasks_ended_total", "kind, outcome")},
        "ops",
    ),
    Panel(
        "Tasks that failed, by reason",
        {"{{reason}}": _rate("gca_tasks_ended_total", "reason", '{outcome="task_failed"}')},
        "ops",
    ),
    Panel("Jobs started", {"{{kind}}": _rate("gca_jobs_started_total", "kind")}, "ops"),
    Panel("Head seen to review posted", _quantiles("gca_review_duration_seconds"), "s"),
    Panel("Session", _quantiles("gca_session_duration_seconds", "kind"), "s"),
    Panel("Clone", _quantiles("gca_clone_duration_seconds", "kind"), "s"),
    Panel(
        "Published",
        {
            "review {{outcome}}": _rate("gca_reviews_total", "outcome"),
            "{{kind}} {{outcome}}": _rate("gca_commands_published_total", "kind, outcome"),
        },
        "ops",
    ),
    Panel(
        "Events handled",
        {"{{durable}} {{outcome}}": _rate("gca_messages_handled_total", "durable, outcome")},
        "ops",
    ),
    Panel(
        "Handlers that failed",
        {"{{durable}} {{kind}}": _rate("gca_handler_failures_total", "durable, kind")},
        "ops",
    ),
    Panel(
        "Tokens", {"{{model}} {{type}}": _rate("gca_session_tokens_total", "model, type")}, "ops"
    ),
    Panel("Calls of GitLab", {"{{status}}": _rate("gca_gitlab_calls_total", "status")}, "reqps"),
    Panel("Answer of GitLab", _quantiles("gca_gitlab_call_duration_seconds"), "s"),
    Panel("Handling of an event", _quantiles("gca_message_duration_seconds", "durable"), "s"),
    Panel("Mended by the sweep", {"{{what}}": _rate("gca_swept_total", "what")}, "ops"),
    Panel(
        "Task door", {"{{what}} {{status}}": _rate("gca_task_door_requests_total", "what, status")}
    ),
    Panel(
        "GitLab tokens expire in",
        {"{{service}}": "min by (service) (gca_gitlab_token_expiry_timestamp_seconds) - time()"},
        "s",
        "stat",
    ),
)


def page() -> str:
    return json.dumps(_dashboard(), indent=2) + "\n"


def _dashboard() -> dict[str, Any]:
    return {
        "uid": UID,
        "title": "GitLab Copilot agent",
        "tags": [UID],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus"}]},
        "panels": [_panel(number, panel) for number, panel in enumerate(PANELS)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    across = COLUMNS // WIDTH
    return {
        "id": number + 1,
        "title": panel.title,
        "type": panel.kind,
        "datasource": SOURCE,
        "gridPos": {
            "x": number % across * WIDTH,
            "y": number // across * HEIGHT,
            "w": WIDTH,
            "h": HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query, "legendFormat": legend}
            for place, (legend, query) in enumerate(panel.queries.items())
        ],
    }
