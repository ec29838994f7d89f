"""The shape of the charts' values as JSON schema, but for the settings. Called by `charts`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Schema = dict[str, Any]
DRAFT = "http://json-schema.org/draft-07/schema#"
TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "minLength": 1}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
LABELS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
ANY: Schema = {"type": "object"}
ITEMS: Schema = {"type": "array", "items": {"type": "object"}}
NAMES: Schema = {"type": "array", "items": NAME}


def closed(properties: Schema, *required: str) -> Schema:
    """An object that has these keys and no others."""
    found: Schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }
    return found | ({"required": list(required)} if required else {})


def _defined(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


_REFERENCE = closed({"name": TEXT, "key": NAME}, "name", "key") | {
    "type": ["object", "null"],
    "description": "A key of a Secret that exists, never the value itself; an empty name: none.",
}
_PEER = closed(
    {
        "cidr": {"type": "string", "pattern": "^[0-9a-fA-F.:]+/[0-9]{1,3}$"},
        "except": {"type": "array", "items": TEXT},
        "podSelector": ANY,
        "namespaceSelector": ANY,
        "ports": {"type": "array", "items": PORT},
    }
) | {
    "minProperties": 1,
    "description": "Addresses by cidr, or pods by selectors; no ports: all of them.",
}
_IMAGE = closed(
    {
        "registry": TEXT,
        "repository": NAME,
        "tag": {"type": ["string", "null"]},
        "digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"},
        "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    }
)
_DEFINITIONS: Schema = {
    "reference": _REFERENCE,
    "peers": {"type": "array", "items": _PEER},
    "image": _IMAGE,
}
PEERS = _defined("peers")
IMAGE = _defined("image")
SHARED_POLICY: Schema = {
    "enabled": FLAG,
    "dns": PEERS,
    "nats": PEERS,
    "monitoring": PEERS,
}


def references(names: Iterable[str]) -> Schema:
    """Secrets by the setting they are for."""
    return closed({name: _defined("reference") for name in names})


def shared(settings: Schema, secrets: Iterable[str]) -> Schema:
    """`global`: what every chart of one system has in common; each takes what it reads."""
    return closed(
        {
            "prefix": {"type": "string", "pattern": "^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$"},
            "natsUrl": {"type": "string", "pattern": "^$|^(nats|tls|ws|wss)://"},
            "imageRegistry": TEXT,
            "imagePullSecrets": {"type": "array", "items": closed({"name": NAME}, "name")},
            "caConfigMap": TEXT,
            "settings": closed(settings),
            "secrets": references(secrets),
            "networkPolicy": closed(SHARED_POLICY),
        }
    )


def service(
    name: str,
    *,
    settings: Schema,
    secrets: tuple[str, ...],
    job_secrets: tuple[str, ...],
    everywhere: tuple[Schema, tuple[str, ...]],
) -> Schema:
    """The values of one service's chart."""
    properties: Schema = {
        "enabled": FLAG,
        "library": ANY,
        "global": shared(*everywhere),
        "image": IMAGE,
        "replicas": COUNT,
        "settings": closed(settings),
        "secrets": references(secrets),
        "natsCredentials": closed({"enabled": FLAG, "name": TEXT, "key": NAME}),
        "resources": ANY,
        "nodeSelector": LABELS,
        "tolerations": ITEMS,
        "affinity": ANY,
        "hostAliases": ITEMS,
        "podAnnotations": LABELS,
        "topologySpread": closed(
            {
                "enabled": FLAG,
                "topologyKey": NAME,
                "whenUnsatisfiable": {"enum": ["ScheduleAnyway", "DoNotSchedule"]},
            }
        ),
        "terminationGracePeriodSeconds": {"type": "integer", "minimum": 40},
        "podDisruptionBudget": closed({"enabled": FLAG, "maxUnavailable": COUNT}),
        "serviceMonitor": closed({"enabled": FLAG, "interval": TEXT, "labels": LABELS}),
        "networkPolicy": closed(SHARED_POLICY | {"egress": PEERS} | _POLICIES.get(name, {})),
        **_OWN.get(name, {}),
    }
    if job_secrets:
        properties["job"] = _job(job_secrets)
    return _document(name, properties)


def stack(settings: Schema, secrets: tuple[str, ...], services: tuple[str, ...]) -> Schema:
    """The values of the umbrella; each chart in it checks its own part."""
    properties: Schema = {
        "global": shared(settings, secrets),
        "library": ANY,
        **dict.fromkeys((*services, "nats", "topology"), ANY),
        "defaultDeny": closed({"enabled": FLAG}),
        "dashboard": closed({"enabled": FLAG, "labels": LABELS, "annotations": LABELS}),
        "alerts": closed({"enabled": FLAG, "labels": LABELS}),
    }
    return _document("stack", properties)


def _document(chart: str, properties: Schema) -> Schema:
    title = f"Values of the chart {chart}"
    return {"$schema": DRAFT, "title": title, **closed(properties), "definitions": _DEFINITIONS}


_POLICIES: Schema = {
    "ingest": {"webhookFrom": PEERS},
    "reviewer": {"apiServer": PEERS},
    "coder": {"apiServer": PEERS},
}
_SCALING: Schema = {"enabled": FLAG, "minReplicas": COUNT, "maxReplicas": COUNT}
_OWN: Schema = {
    "ingest": {
        "service": closed(
            {
                "type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
                "nodePort": {"type": ["integer", "null"]},
                "annotations": LABELS,
            }
        ),
        "ingress": closed(
            {
                "enabled": FLAG,
                "className": TEXT,
                "host": TEXT,
                "tlsSecret": TEXT,
                "annotations": LABELS,
            }
        ),
        "autoscaling": closed({**_SCALING, "targetCpuPercent": {"type": "integer", "minimum": 1}}),
    },
    "publisher": {
        "workSize": NAME,
        "keda": closed(
            {
                **_SCALING,
                "monitoringEndpoint": TEXT,
                "account": NAME,
                "lagThreshold": {"type": "integer", "minimum": 1},
            }
        ),
    },
}


def _job(secrets: tuple[str, ...]) -> Schema:
    return closed(
        {
            "image": IMAGE,
            "cpu": {"type": ["string", "number"]},
            "memory": NAME,
            "storage": NAME,
            "timeout": {"type": ["integer", "null"], "minimum": 30, "maximum": 86400},
            "startTimeout": {"type": "integer", "minimum": 10, "maximum": 3600},
            "ttl": {"type": "integer", "minimum": 60, "maximum": 86400},
            "secrets": references(secrets),
            "hostAliases": ITEMS,
            "nodeSelector": LABELS,
            "tolerations": ITEMS,
            "extraEnv": {
                "type": "object",
                "additionalProperties": {"type": ["string", "number", "boolean"]},
            },
            "imagePullSecrets": NAMES,
            "egress": closed({"model": PEERS, "gitlab": PEERS, "more": PEERS}),
        }
    )
