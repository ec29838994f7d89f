"""`docs/configuration.md`: every setting a person can make, and what a Job is told.

The settings come from their classes; what has no class is listed here, and a test holds that list
to the code.
"""

from __future__ import annotations

from documents.markdown import code, document, table
from documents.settings_classes import SERVICES, Setting, settings
from libs.common.launching import contract

_INTRODUCTION = """\
Settings are environment variables. A missing or wrong value stops the start of its process, with
every problem listed at once. An empty value counts as not set.

`make up` and `./gca` also read the file `.env` in the project's folder (`NAME=value` lines; the
environment wins), and hand each service its own settings only. `.env` is not read by `make test`
and `make demo`.

**Secrets.** Each setting marked *secret* can also come from a file: set `<NAME>_FILE` to its path,
as for `GITLAB_TOKEN_FILE=/run/secrets/gitlab`. The variable itself wins. A process takes its
secrets out of its environment once it has read them. [architecture.md](architecture.md#the-walls)
says which process holds which secret.

**Who reads a setting.** *step clone* and *step run* are the two halves of a Job. Nobody sets
theirs by hand: reviewer and coder hand them on, to each step only what is listed for it."""

GROUPS = {
    "all": ("Every process", ""),
    "gitlab": (
        "GitLab",
        (
            "`make up` uses `GITLAB_TOKEN` in place of a missing `GITLAB_READ_TOKEN` and says so: "
            "then the step clone holds a token that writes."
        ),
    ),
    "ingest": ("Ingest: webhooks", "Set `GITLAB_WEBHOOK_SECRET` or the signing token."),
    "door": ("Ingest, reviewer and coder: the task door", ""),
    "reviewer": ("Reviewer and coder: tasks and Jobs", ""),
    "kubernetes": (
        "Reviewer and coder: Jobs on Kubernetes",
        (
            "Read with `TASK_EXECUTOR=kubernetes`, and checked always. Of secrets, only the place "
            "is told: `K8S_JOB_SECRETS`."
        ),
    ),
    "budgets": (
        "Reviewer and coder: budgets",
        (
            "Counted over the hour before a command or an issue, by both together; above one of "
            "them it is refused. Reviews that nobody asked for are not counted."
        ),
    ),
    "session": (
        "Reviewer and coder, for their Jobs: model and session",
        (
            "Set `GITHUB_TOKEN` for the models of GitHub Copilot, or `COPILOT_PROVIDER_TYPE` with "
            "address and model for a provider of your own."
        ),
    ),
    "publisher": ("Publisher", ""),
    "more": ("More settings", ""),
}

_PROXIES = """\
The model may be behind a proxy. {names} reach the step run and its
Copilot CLI when reviewer and coder have them in their environment, in capitals or small letters.
GitLab, git and the task door are always asked directly. `NO_PROXY` should name a model or collector
on this machine. A proxy's address with a password in it is seen by whatever the session starts."""

_SERVERS = """\
A repository may ask for MCP servers: in `.mcp.json`, in `.github/mcp.json` (both as
`{"mcpServers": {"name": {"command": …, "args": […], "env": {…}, "tools": ["*"]}}}`), or below
`mcp-servers:` in the front matter of an agent. They are ignored, and the runner's log names them
once, unless `ALLOW_REPOSITORY_MCP_SERVERS=true`. Then those of the **target branch** are started
with the session, in a copy of the target branch, so nothing of the merge request's head runs. The
model is offered the tools that `tools` names; other tools and other servers are refused. Remote
servers (`http`, `sse`) are left out, and variables such as `${{ secrets.NAME }}` are not filled in.

A server gets no secret: neither its environment nor that of the processes above it shows one. It
still is a program with the rights of the Job's user and with the network. On one machine that user
also runs the services, which hold the tokens: allow it only where whoever can merge to the target
branch may run programs as that user. A server that does not answer delays its session by up to
60 seconds, then the review goes on without it."""

OTHER = {
    "EVENTS_MAX_BYTES": "Room for the event log, as bytes or as `500Mi`, `2Gi` (default); the "
    "artifacts get as much again. Read by `gca up` and `gca topology apply`, which also changes a "
    "log that is there.",
    "GCA_DOTENV": "File that `gca` reads in place of `.env`.",
    "GCA_STATE_DIR": "Folder of `gca up`'s state; `.gca` in the project's folder otherwise.",
    "GCA_LOG_JSON": "Log lines as JSON also at a terminal, when set to anything.",
    "NO_COLOR": "No colours at a terminal, when set to anything.",
}
TOLD = {
    contract.TASK_URL: "Address of its task at the task door.",
    contract.TASK_TOKEN: "Token for this one task. Secret.",
    contract.WORK_DIR: "Folder for the clone and the session's files.",
    contract.TIMEOUT: "Seconds for both steps together.",
    contract.STARTED_AT: "When the Job began, seconds since 1970, so that both steps share a "
    "deadline.",
    contract.TRACEPARENT: "Trace that the Job belongs to.",
    contract.WALL: "What walls the step run in: `pod` on Kubernetes.",
}


def page() -> str:
    found = settings()
    return document(
        "Configuration",
        _INTRODUCTION,
        *(_group(name, own) for name in GROUPS if (own := in_group(found, name))),
        "## Proxies\n\n" + _PROXIES.format(names=_names(contract.PROXIES[:3])),
        "## MCP servers of a repository\n\n" + _SERVERS,
        "## Other variables\n\n" + _table(OTHER),
        "## What a Job is told\n\nBy its launcher, beside the settings of its step.\n\n"
        + _table(TOLD)
        + f"\n\nBesides these it takes over {_names(contract.INHERITED)} and nothing else.",
    )


def in_group(found: list[Setting], name: str) -> list[Setting]:
    """Those of one heading; the last takes what belongs under no other."""
    last = [*GROUPS][-1]
    return [one for one in found if (one.group if one.group in GROUPS else last) == name]


def _group(name: str, found: list[Setting]) -> str:
    title, words = GROUPS[name]
    rows = table(("Name", "Read by", "Default", "Meaning"), map(_row, found))
    return "\n\n".join(part for part in (f"## {title}", words, rows) if part)


def _row(one: Setting) -> tuple[str, ...]:
    default = one.default if one.default in {"required", "not set"} else code(one.default)
    meaning = f"*Secret.* {one.meaning}" if one.secret else one.meaning
    if one.name == "HEALTH_PORT":
        ports = (f"{name} {kind.health_default}" for name, kind in SERVICES.items())
        meaning += f" Own defaults: {', '.join(ports)}."
    return code(one.name), ", ".join(one.readers), default, meaning


def _table(meanings: dict[str, str]) -> str:
    return table(("Name", "Meaning"), ((code(name), text) for name, text in meanings.items()))


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(code(name) for name in names)
