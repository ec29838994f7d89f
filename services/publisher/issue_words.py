"""The words around a Jira issue: the merge request's title and description, the comment. Pure.

Called by `issues`. GitLab reads a description as Markdown with quick actions, a title as plain
text, Jira a document of nodes: each gets foreign text in the form that does nothing there.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import msgspec

from libs.common.events.tasks import ChangesProposed, TaskRequested
from libs.common.jira.adf_writing import from_text
from services.publisher.firewall import SUMMARY_CHARS, Policy, bare, one_line_code
from services.publisher.markers import marker
from services.publisher.replies import Reply, changed_files
from services.publisher.wording import footer, note, plain, safe

LONGEST_TITLE = 255
MERGE_REQUEST = "merge-request"
"""The item of a description's marker."""
_CODE_OR_MARK = re.compile(
    r"(?P<code>^```.*?^```$|`+[^`\n]+`+)|\\(?P<escaped>[!-/:-@\[-`{-~])|(?P<bold>\*\*)"
    r"|(?<![\w*])\*(?=\S)(?P<soft>[^*\n]+)(?<=\S)\*(?![\w*])",
    re.DOTALL | re.MULTILINE,
)
Node = dict[str, Any]


def title(request: TaskRequested, policy: Policy) -> str:
    """`Draft: <KEY> <summary>`; a summary that may not be shown is left out."""
    key = request.issue.key if request.issue else ""
    summary = bare(" ".join(request.title.split()), policy=policy).text
    return f"Draft: {key} {summary}".strip()[:LONGEST_TITLE].rstrip()


def description(result: ChangesProposed, request: TaskRequested, policy: Policy) -> str:
    """What the change is, what it is for and who wanted it."""
    long = msgspec.structs.replace(policy, max_chars=SUMMARY_CHARS)
    parts = [f"For {_link(request)}: {plain(request.title, policy)}"]
    if result.summary.strip():
        parts.append(safe(result.summary, long))
    parts += changed_files("Changed during the work and left out of the commit", result.left_out)
    who = one_line_code(request.requester.name) if request.requester else "somebody"
    parts.append(
        f"Requested by {who} in Jira. This is a draft: please review it, and mark it as ready."
    )
    parts += ["---", footer(request, result.usage, sum(result.stages.values()))]
    return note(parts, marker(request.task_id, MERGE_REQUEST))


def comment_document(
    reply: Reply, request: TaskRequested, policy: Policy, links: tuple[str, ...] = ()
) -> Node:
    """The reply as Jira takes it; `links` are addresses of ours, which stand first."""
    parts = [*links, reply.text, footer(request, reply.usage, reply.seconds)]
    hosts = policy.allowed_hosts | {urlsplit(link).netloc.lower() for link in links}
    return _only_links_to(hosts, from_text(unmarked("\n\n".join(parts))))


def unmarked(text: str) -> str:
    """Markdown as plain words; code stays marked, since documents have it, too."""
    return _CODE_OR_MARK.sub(_plain_form, text)


def _plain_form(found: re.Match[str]) -> str:
    return found["code"] or found["escaped"] or found["soft"] or ""


def _link(request: TaskRequested) -> str:
    issue = request.issue
    if issue is None:
        return "an issue"
    plain_url = re.fullmatch(r"https?://[A-Za-z0-9._~:/?#=&%+,-]+", issue.web_url)
    return f"[{issue.key}]({issue.web_url})" if plain_url else one_line_code(issue.key)


def _only_links_to(hosts: frozenset[str] | set[str], node: Node) -> Node:
    """The document without links to elsewhere; their text stays (SR-26)."""
    kept = dict(node)
    if "marks" in kept:
        kept["marks"] = [mark for mark in kept["marks"] if _may_stay(mark, hosts)]
        if not kept["marks"]:
            del kept["marks"]
    if "content" in kept:
        kept["content"] = [_only_links_to(hosts, child) for child in kept["content"]]
    return kept


def _may_stay(mark: Node, hosts: frozenset[str] | set[str]) -> bool:
    if mark["type"] != "link":
        return True
    try:
        return urlsplit(mark["attrs"]["href"]).netloc.lower() in hosts
    except ValueError:
        return False
