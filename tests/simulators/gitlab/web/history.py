"""Draws the commits of a merge request and the pipelines that its pushes started."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulators.gitlab.repository import Commit
    from tests.simulators.gitlab.state import DiffVersion, MergeRequest, Pipeline

MOST = 20  # rows of each list


def render(record: MergeRequest, version: DiffVersion | None) -> str:
    if version is None:
        return ""
    commits = record.project.repository.between(version.base_sha, version.head_sha)
    rows = "".join(_commit(record, one) for one in commits[:MOST])
    started = _pipelines(record)
    runs = "".join(_pipeline(one) for one in started[:MOST])
    if all(one.sha != version.head_sha for one in started):
        head = escape(version.head_sha[:8])
        runs = f'<li class="muted">None for the head <code>{head}</code></li>' + runs
    return f"""<section class="history"><div><h2>Commits <span class="muted">{len(commits)}</span>
</h2><ul>{rows}</ul></div><div><h2>Pipelines <span class="muted">{len(started)}</span></h2>
<ul>{runs}</ul></div></section>"""


def _commit(record: MergeRequest, one: Commit) -> str:
    pipelines = " ".join(f"pipeline #{p.id}" for p in _pipelines(record) if p.sha == one.sha)
    return f"""<li title="{escape(one.message)}"><code>{escape(one.sha[:8])}</code>
<span class="grow">{escape(one.title)}</span> <span class="muted">{escape(one.author_name)}
{pipelines}</span></li>"""


def _pipelines(record: MergeRequest) -> list[Pipeline]:
    """Return those of the merge request's heads, newest first."""
    heads = {version.head_sha for version in record.versions}
    projects = {id(p): p for p in (record.source_project, record.project) if p is not None}
    found = [one for p in projects.values() for one in p.pipelines if one.sha in heads]
    return sorted(found, key=lambda one: one.id, reverse=True)


def _pipeline(one: Pipeline) -> str:
    return f"""<li><span class="badge">{escape(one.status)}</span> #{one.id}
<code>{escape(one.sha[:8])}</code> <span class="muted">{escape(one.source)} by
{escape(one.user.name)}</span></li>"""
