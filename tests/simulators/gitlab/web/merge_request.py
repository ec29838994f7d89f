"""Draws one merge request: title, description, comments, and the diff with its threads.

Text comes from anyone, so every piece is escaped or goes through `markdown`.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING

from . import diff, history, markdown, writing

if TYPE_CHECKING:
    from datetime import datetime

    from tests.simulators.gitlab.state import (
        Award,
        Discussion,
        MergeRequest,
        Note,
        Suggestion,
    )
    from tests.simulators.gitlab.world import World

_SUGGESTION = re.compile(r"^suggestion(?::-\d+\+\d+)?$")
_COLOURS = ("#6f5bd6", "#1f75cb", "#108548", "#c17d10", "#c04")


def render(world: World, record: MergeRequest) -> str:
    versions = record.shown_versions(world.clock.now())
    files = world.diff(record, versions[0]) if versions else []
    placed, others = _placed(record)
    added = sum(1 for f in files for line in f.lines if line.kind == "added")
    removed = sum(1 for f in files for line in f.lines if line.kind == "removed")
    draw = {code: "".join(thread(d) for d in ds) for code, ds in placed.items()}
    drawn = [diff.file(record, versions[0], file, placed, draw) for file in files]
    listing = "".join(diff.entry(number, file, placed) for number, file in enumerate(files))
    changes = "".join(
        f'<section class="file" id="file-{number}">{one}</section>'
        for number, one in enumerate(drawn)
    )
    preparing = "" if versions else '<p class="empty">The diff is being prepared.</p>'
    inline_count = sum(len(found) for found in placed.values())
    return f"""{_header(record)}
<section class="description">{_description(record)}</section>
{history.render(record, versions[0] if versions else None)}
{_overview(others)}
{writing.comment_box(world, record)}
<h2>Changes <span class="muted">{len(files)} files · <span class="good">+{added}</span>
<span class="bad">−{removed}</span> · {inline_count} inline threads</span></h2>
<nav class="files">{listing}</nav>{preparing}{changes}"""  # noqa: RUF001  # a minus sign


def _placed(record: MergeRequest) -> tuple[dict[str, list[Discussion]], list[Discussion]]:
    """Split threads into those on a line of the current diff (by line place) and the others."""
    placed: dict[str, list[Discussion]] = {}
    others: list[Discussion] = []
    for discussion in record.discussions():
        first = discussion.notes[0]
        if first.position is not None and not first.outdated:
            placed.setdefault(diff.place(first.position), []).append(discussion)
        else:
            others.append(discussion)
    return placed, others


def _header(record: MergeRequest) -> str:
    project = record.project.path_with_namespace
    return f"""<header class="top"><p class="crumbs"><a href="/">Simulated GitLab</a> /
<a href="/{escape(project)}/-/merge_requests">{escape(project)}</a> /
<strong>!{record.iid}</strong></p>
<h1>{escape(record.title)}</h1>
<p class="facts">{state_badge(record)} {avatar(record.author.name)}
<strong>{escape(record.author.name)}</strong> wants to merge
<code>{escape(_source(record))}</code> into <code>{escape(record.target_branch)}</code>
{moment(record.created_at)} <span class="muted">head {escape(record.head_sha[:8])},
version {len(record.versions)}</span></p></header>"""


def _source(record: MergeRequest) -> str:
    if not record.for_fork:
        return record.source_branch
    fork = record.source_project.path_with_namespace if record.source_project else "a lost fork"
    return f"{fork}:{record.source_branch}"


def _description(record: MergeRequest) -> str:
    return markdown.render(record.description) or '<p class="muted">No description.</p>'


def _overview(others: list[Discussion]) -> str:
    drawn = "".join(
        _system(found.notes[0]) if found.notes[0].system else thread(found) for found in others
    )
    nothing = '<p class="empty">No comments yet.</p>'
    return f"<h2>Activity</h2>{drawn or nothing}"


def state_badge(record: MergeRequest) -> str:
    word = "draft" if record.draft and record.state == "opened" else record.state
    label = {"opened": "Open"}.get(word, word.title())
    return f'<span class="badge {escape(word)}">{escape(label)}</span>'


def moment(when: datetime) -> str:
    iso = when.isoformat(timespec="seconds")
    return f'<time datetime="{iso}">{when:%H:%M:%S}</time>'


def avatar(name: str) -> str:
    letters = "".join(word[0] for word in name.split()[:2]).upper()
    colour = _COLOURS[sum(name.encode()) % len(_COLOURS)]
    return f'<span class="avatar" style="background:{colour}">{escape(letters)}</span>'


def _system(note: Note) -> str:
    first = note.body.split("\n", 1)[0]
    return f"""<p class="system">{avatar(note.author.name)} {escape(note.author.name)}
{escape(first)} {moment(note.created_at)}</p>"""


def thread(discussion: Discussion) -> str:
    """Draw the notes of one discussion with its state."""
    first = discussion.notes[0]
    marks = ""
    if first.position is not None and first.outdated:
        line = first.position.new_line or first.position.old_line
        where = f"{first.position.path}:{line}"
        marks += f'<span class="badge outdated">Outdated</span> <code>{escape(where)}</code> '
    if discussion.resolved:
        marks += '<span class="badge resolved">Resolved</span>'
    top = f'<p class="marks">{marks}</p>' if marks else ""
    kind = " resolved" if discussion.resolved else ""
    notes = "".join(_note(note) for note in discussion.notes)
    box = writing.reply_box(discussion)
    return f'<article class="thread{kind}">{top}{notes}{box}</article>'


def _note(note: Note) -> str:
    suggestions = iter(note.suggestions)

    def fence(info: str, _: str) -> str | None:
        if not _SUGGESTION.match(info):
            return None
        suggestion = next(suggestions, None)
        return None if suggestion is None else _suggestion(suggestion)

    bot = '<span class="badge bot">bot</span>' if note.author.bot else ""
    awards = "".join(_award(award) for award in note.awards)
    edited = ' <span class="muted">edited</span>' if note.updated_at > note.created_at else ""
    return f"""<div class="note" id="note_{note.id}" data-note="{note.id}">
{avatar(note.author.name)}<div class="grow"><p class="who"><strong>{escape(note.author.name)}
</strong> <span class="muted">@{escape(note.author.username)}</span> {bot}
<a href="#note_{note.id}">{moment(note.created_at)}</a>{edited}</p>
<div class="body">{markdown.render(note.body, fence)}</div>{awards}</div></div>"""


def _award(award: Award) -> str:
    who = f":{award.name}: by {award.user.name}"
    drawn = markdown.inline(f":{award.name}:")
    return f'<span class="badge award" title="{escape(who)}">{drawn}</span>'


def _suggestion(suggestion: Suggestion) -> str:
    """Draw what applying would change, as a small diff."""
    rows = []
    before = suggestion.from_content.splitlines()
    after = suggestion.to_content.splitlines()
    for offset, text in enumerate(before):
        rows.append(_suggested("removed", suggestion.from_line + offset, text))
    for offset, text in enumerate(after):
        rows.append(_suggested("added", suggestion.from_line + offset, text))
    return f"""<div class="suggestion"><p>Suggested change</p>
<table class="diff">{"".join(rows)}</table></div>"""


def _suggested(kind: str, number: int, text: str) -> str:
    sign = "+" if kind == "added" else "-"
    return f"""<tr class="{kind}"><td class="number">{number}</td>
<td class="text"><span class="sign">{sign}</span>{escape(text)}</td></tr>"""
