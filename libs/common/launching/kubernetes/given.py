"""Settings of Jobs that are JSON, each checked when the service starts. Pure.

Called by `settings`. A message names what is wrong and never shows the value.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from libs.common.errors import cut
from libs.common.launching import contract
from libs.common.launching.kubernetes.pod import HostAlias, SecretKey, Toleration

SECRETS = '{"GITLAB_READ_TOKEN": {"name": "gca-gitlab-read", "key": "token"}}'
HOST_ALIASES = '[{"ip": "10.0.0.7", "hostnames": ["gitlab.example.com"]}]'
NODE_SELECTOR = '{"kubernetes.io/arch": "amd64"}'
TOLERATIONS = '[{"key": "agents", "operator": "Exists", "effect": "NoSchedule"}]'
EXTRA_ENV = '{"HTTPS_PROXY": "http://proxy.example.com:3128"}'

SECRET_NAMES = ("GITLAB_READ_TOKEN", "GITHUB_TOKEN", "COPILOT_PROVIDER_API_KEY")
"""All secrets that a Job can get; each goes to the step that `contract` names."""
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS = frozenset(
    {
        *(name for names in contract.STEP_SETTINGS.values() for name in names),
        *contract.BOTH_STEPS,
        contract.TRACEPARENT,
        "HOME",
        "PATH",
    }
)
_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_KEY = re.compile(r"[-._A-Za-z0-9]{1,253}")
_T = TypeVar("_T")


class WrongSetting(ValueError):
    """What is wrong, in one line for an operator."""


def secrets(text: str) -> dict[str, SecretKey]:
    found = _read(text, dict[str, SecretKey], SECRETS)
    unknown = sorted(found.keys() - set(SECRET_NAMES))
    if unknown:
        raise WrongSetting(
            f"{_names(unknown)}: no Job gets a secret of that name, only {', '.join(SECRET_NAMES)}"
        )
    wrong = [n for n, key in found.items() if not (is_name(key.name) and _KEY.fullmatch(key.key))]
    if wrong:
        raise WrongSetting(f"{_names(wrong)}: name and key must be those of a Secret")
    return found


def host_aliases(text: str) -> tuple[HostAlias, ...]:
    found = _read(text, tuple[HostAlias, ...], HOST_ALIASES)
    for number, alias in enumerate(found, start=1):
        if not _is_ip(alias.ip):
            raise WrongSetting(f"entry {number}: ip must be an IP address")
        if not alias.hostnames:
            raise WrongSetting(f"entry {number}: hostnames must name at least one host")
        if not all(_HOST.fullmatch(name) for name in alias.hostnames):
            raise WrongSetting(f"entry {number}: hostnames must be host names in small letters")
    return found


def node_selector(text: str) -> dict[str, str]:
    found = _read(text, dict[str, str], NODE_SELECTOR)
    for number, (key, value) in enumerate(found.items(), start=1):
        prefix, slash, name = key.rpartition("/")
        good = _LABEL.fullmatch(name) and (not slash or _HOST.fullmatch(prefix))
        if not good or (value and not _LABEL.fullmatch(value)):
            raise WrongSetting(f"entry {number}: must be a label of a node and its value")
    return found


def tolerations(text: str) -> tuple[Toleration, ...]:
    found = _read(text, tuple[Toleration, ...], TOLERATIONS)
    for number, one in enumerate(found, start=1):
        if one.operator == "Exists" and one.value:
            raise WrongSetting(f"entry {number}: operator Exists takes no value")
        if not one.key and one.operator != "Exists":
            raise WrongSetting(f"entry {number}: without a key the operator must be Exists")
        if one.tolerationSeconds is not None and one.effect != "NoExecute":
            raise WrongSetting(f"entry {number}: tolerationSeconds needs the effect NoExecute")
    return found


def extra_env(text: str) -> dict[str, str]:
    """Variables for both steps; proxies reach only the step that speaks to the model."""
    found = _read(text, dict[str, str], EXTRA_ENV)
    wrong = [name for name in found if not _ENV_NAME.fullmatch(name)]
    if wrong:
        raise WrongSetting(f"{_names(wrong)}: must be names of variables")
    ours = sorted(name for name in found if name.startswith("GCA_") or name in _OURS)
    if ours:
        raise WrongSetting(f"{_names(ours)}: comes from the setting of that name, or from us")
    return found


def is_name(text: str) -> bool:
    """Whether an object of Kubernetes can have that name."""
    return _HOST.fullmatch(text) is not None


def _read(text: str, kind: type[_T], example: str) -> _T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        said = str(error)
        # Only errors of the shape do not quote what was written.
        tells = isinstance(error, msgspec.ValidationError) and said.startswith(("Expected", "Obj"))
        why = f" ({cut(said, 100)})" if tells else ""
        raise WrongSetting(f"must be JSON such as {example}{why}") from None


def _names(names: Iterable[str]) -> str:
    return ", ".join(cut(name, 40) for name in names)


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
