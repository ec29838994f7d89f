"""The index page: every merge request, newest activity first, and the last webhook deliveries."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from .merge_request import moment, state_badge

if TYPE_CHECKING:
    from tests.simulators.gitlab.state import MergeRequest, Project
    from tests.simulators.gitlab.webhooks import Delivery
    from tests.simulators.gitlab.world import World

MOST_DELIVERIES = 12


def render(world: World, project: Project | None = None) -> str:
    """Draw the list of every project, or of one."""
    projects = [project] if project else list(world.projects.values())
    records = [m for p in projects for m in p.merge_requests.values()]
    records.sort(key=lambda m: m.updated_at, reverse=True)
    rows = "".join(_row(record) for record in records)
    listing = rows or '<p class="empty">No merge request yet.</p>'
    sent = world.webhooks.deliveries[-MOST_DELIVERIES:][::-1]
    deliveries = "".join(_delivery(delivery) for delivery in sent)
    hooks = f'<h2>Webhook deliveries</h2><table class="plain">{deliveries}</table>' if sent else ""
    where = escape(project.path_with_namespace) if project else "Simulated GitLab"
    crumbs = '<p class="crumbs"><a href="/">Simulated GitLab</a></p>' if project else ""
    return f"""<header class="top">{crumbs}<h1>{where}</h1>
<p class="muted">A stand-in for tests and demos, fresh at
each start</p></header>
<h2>Merge requests</h2><div class="list">{listing}</div>{hooks}"""


def _row(record: MergeRequest) -> str:
    count = sum(1 for note in record.notes if not note.system)
    return f"""<a class="row" href="/{escape(record.project.path_with_namespace)}/-/merge_requests/\
{record.iid}">{state_badge(record)}<span class="grow"><strong>{escape(record.title)}</strong>
<span class="muted">{escape(record.project.path_with_namespace)}!{record.iid} ·
{escape(record.source_branch)} → {escape(record.target_branch)} ·
{escape(record.author.name)}{_bot(record)}</span></span>
<span class="muted">{count} comments</span>{moment(record.updated_at)}</a>"""


def _delivery(delivery: Delivery) -> str:
    kind = "good" if delivery.succeeded else "bad"
    answer = str(delivery.status or delivery.error)
    return f"""<tr><td>{escape(delivery.event)}</td><td>{escape(delivery.hook.url)}</td>
<td class="{kind}">{escape(answer)}</td><td>{delivery.seconds * 1000:.0f} ms</td></tr>"""


def _bot(record: MergeRequest) -> str:
    return ' <span class="badge bot">bot</span>' if record.author.bot else ""
