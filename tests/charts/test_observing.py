"""Dashboard, alerts and notes: they speak of what there is, and tell what to do next."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import yaml

from libs.common.metrics import METRICS
from tests.charts.helm import CHARTS, SERVICES, merged, the

SHOWN = {metric.shown: metric for metric in METRICS}
DASHBOARD = json.loads((CHARTS / "stack/files/dashboard.json").read_text())
ALERTS = yaml.safe_load((CHARTS / "stack/files/alerts.yaml").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
QUERIES = [
    *(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]),
    *(rule["expr"] for rule in RULES),
]
OURS = re.compile(r"gca_[a-z_]+")
FROM_SCRAPING = {"le", "namespace", "service"}


def metric(name: str) -> str:
    plain = re.sub("_(bucket|sum|count)$", "", name)
    return plain if plain in SHOWN else name


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_metrics_and_labels_that_exist(query):
    names = {metric(name) for name in OURS.findall(query)}
    asked = {
        part.strip() for group in re.findall(r"by \(([^)]*)\)", query) for part in group.split(",")
    }
    asked |= set(re.findall(r'(\w+)(?:=~|!~|!=|=)"', query))

    assert set() == names - SHOWN.keys()
    has = {label for name in names for label in SHOWN[name].labels}
    assert set() == asked - has - FROM_SCRAPING


def test_every_metric_is_on_the_dashboard_but_for_niceties():
    asked = {
        metric(name)
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
        for name in OURS.findall(target["expr"])
    }

    left_out = {
        "gca_jira_issues_total",
        "gca_gitlab_polled_total",
        "gca_session_start_duration_seconds",
        "gca_session_cost_total",
        "gca_effects_missed_total",
    }
    assert left_out == SHOWN.keys() - asked


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_look_at(rule):
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith(".")


@pytest.mark.real
def test_dashboard_and_alerts_are_there_when_asked_for(stack):
    manifests = stack({"dashboard": {"enabled": True}, "alerts": {"enabled": True}})

    found = {one["metadata"]["name"]: one for one in manifests}
    assert DASHBOARD == json.loads(found["gca-dashboard"]["data"]["gitlab-copilot-agent.json"])
    assert "1" == found["gca-dashboard"]["metadata"]["labels"]["grafana_dashboard"]
    rules = found["gca-alerts"]["spec"]["groups"][0]["rules"]
    assert [rule["alert"] for rule in RULES] == [rule["alert"] for rule in rules]
    assert [] == [rule for rule in rules if re.search("NAMESPACE|PREFIX", rule["expr"])]
    assert "{{ $labels.durable }} could not handle an event" in str(rules)


@pytest.fixture
def stack(helm):
    """The umbrella without NATS, which has tests of its own."""
    return lambda values: helm.template("stack", merged({"nats": {"enabled": False}}, values))


def notes(helm, chart, values) -> str:
    """What helm says after an installation; put into a manifest, since that needs a cluster."""
    copy = helm.folder / "charts" / chart
    shutil.copytree(CHARTS / chart, copy)
    words = (copy / "templates/NOTES.txt").read_text()
    (copy / "templates/seen.yaml").write_text(
        f'{{{{ define "seen" }}}}{words}{{{{ end }}}}\nkind: Seen\nmetadata: {{name: notes}}\n'
        'notes: |\n  {{- include "seen" . | nindent 2 }}\n'
    )
    return the(helm.template(copy, values), "Seen", "notes")["notes"]


@pytest.mark.real
@pytest.mark.parametrize("service", SERVICES)
def test_notes_name_the_secrets_the_test_and_the_logs(helm, service):
    said = notes(helm, service, {})

    assert f"gca-nats-{service} [nats.nk]" in said
    assert "helm test gca -n agents --logs" in said
    assert f"kubectl logs -n agents deployment/gca-{service}" in said
    assert ("gca-model [token]  GITHUB_TOKEN" in said) == (service in {"reviewer", "coder"})


@pytest.mark.real
def test_notes_give_the_webhooks_address(helm):
    ingress = {"enabled": True, "host": "hooks.example.com", "tlsSecret": "certificate"}

    assert "https://hooks.example.com/webhook" in notes(helm, "ingest", {"ingress": ingress})


@pytest.mark.real
def test_notes_warn_of_an_open_internet_and_an_unreachable_gitlab(helm):
    said = notes(helm, "coder", {})

    assert "Narrow job.egress.model to your model or a proxy" in said
    assert "When GitLab is in a private network, name it" in said


@pytest.mark.real
def test_notes_say_that_a_narrowed_job_needs_its_gitlab_named(helm):
    said = notes(helm, "coder", {"job": {"egress": {"model": [{"cidr": "1.2.3.4/32"}]}}})

    assert "Jobs may reach no GitLab but one among job.egress.model" in said


@pytest.mark.real
def test_notes_are_quiet_when_both_are_named(helm):
    egress = {"model": [{"cidr": "1.2.3.4/32"}], "gitlab": [{"cidr": "10.1.2.3/32"}]}

    said = notes(helm, "coder", {"job": {"egress": egress}})

    assert "Narrow" not in said
    assert "egress.gitlab" not in said
