"""Notes and discussions: position checks, quick actions, suggestions, replies, resolving.

Called by the REST endpoints, by draft publishing, and by the control side. Raises ApiError with
the body that GitLab would send.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from . import events, quick_actions
from .errors import bad_request, invalid, invalid_note, message
from .merge_requests import touch_for_note
from .positions import Position, find_file, resolve
from .state import Note, Suggestion, new_discussion_id
from .suggestions import parse_suggestions
from .views import too_large

if TYPE_CHECKING:
    from .diffs import FileDiff
    from .state import Discussion, MergeRequest, User
    from .world import World

MAX_BODY = 1_000_000
NO_LINE = {"line_code": ["can't be blank", "must be a valid line code"]}


@dataclass
class NewNote:
    """What is asked for; `type` None is a plain comment."""

    body: str
    type: str | None = None
    discussion_id: str | None = None
    position: Position | None = None
    internal: bool = False
    thread: Note | None = None  # the first note of the thread this one joins


@dataclass
class Posted:
    """The saved note, or None when the text was commands only."""

    note: Note | None
    commands: dict[str, Any] = field(default_factory=dict)
    summary: list[str] = field(default_factory=list)


# --- positions ------------------------------------------------------------------------


def read_position(raw: Any) -> Position:
    """Read the parameter with Grape's checks; raises ApiError 400."""
    if not isinstance(raw, dict):
        raise invalid("position is invalid")
    needed = ("base_sha", "start_sha", "head_sha", "position_type")
    missing = [f"position[{name}] is missing" for name in needed if name not in raw]
    if missing:
        raise invalid(", ".join(missing))
    if raw["position_type"] not in {"text", "image", "file"}:
        raise invalid("position[position_type] does not have a valid value")
    return Position(
        base_sha=str(raw["base_sha"] or ""),
        start_sha=str(raw["start_sha"] or ""),
        head_sha=str(raw["head_sha"] or ""),
        position_type=raw["position_type"],
        old_path=raw.get("old_path") or None,
        new_path=raw.get("new_path") or None,
        old_line=_line(raw, "old_line"),
        new_line=_line(raw, "new_line"),
        line_range=raw.get("line_range"),
    )


def _line(raw: dict[str, Any], name: str) -> int | None:
    value = raw.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not str(value).isdecimal():
        raise invalid(f"position[{name}] is invalid")
    return int(value)


def position_file(world: World, merge_request: MergeRequest, position: Position) -> FileDiff | None:
    """Return the file of the diff that the position's own shas make, or None."""
    repository = merge_request.project.repository
    shas = (position.base_sha, position.start_sha, position.head_sha)
    if any(repository.commit_sha(sha) != sha for sha in shas):
        return None
    file = find_file(repository.diff(position.base_sha, position.head_sha), position)
    return None if file is None or too_large(world.settings, file) else file


def position_line_code(world: World, merge_request: MergeRequest, position: Position) -> str | None:
    file = position_file(world, merge_request, position)
    if file is None or position.position_type != "text":
        return None
    repository = merge_request.project.repository
    old_lines = repository.line_count(position.base_sha, file.old_path)
    return resolve(file, position, old_lines=old_lines)


def check_position(world: World, merge_request: MergeRequest, position: Position) -> str | None:
    """Return the line_code (None for a file note); raises ApiError 400 as DiffNote's checks do."""
    shown = merge_request.shown_versions(world.clock.now())
    if world.settings.null_diff_refs or not shown:
        raise invalid_note({**NO_LINE, "noteable": ["doesn't support new-style diff notes"]})
    incomplete = {} if position.complete else {"position": ["is incomplete"]}
    if position.position_type == "file":
        if incomplete or position_file(world, merge_request, position) is None:
            raise invalid_note(incomplete or {"position": ["is invalid"]})
        return None
    code = None if incomplete else position_line_code(world, merge_request, position)
    if code is None:
        raise invalid_note({**NO_LINE, **incomplete})
    return code


# --- notes ----------------------------------------------------------------------------


def check_rate(world: World, user: User) -> None:
    """Count a note of this user; raises ApiError 429 past the application limit."""
    posts = world.note_posts.setdefault(user.id, deque())
    now = world.clock.now()
    while posts and posts[0] < now - timedelta(minutes=1):
        posts.popleft()
    if len(posts) >= world.settings.notes_per_minute:
        text = "This endpoint has been requested too many times. Try again later."
        raise message(429, {"error": text})
    posts.append(now)


def check_body(body: str) -> None:
    if not body.strip():
        raise invalid_note({"note": ["can't be blank"]})
    if len(body) > MAX_BODY:
        raise invalid_note({"note": [f"is too long (maximum is {MAX_BODY} characters)"]})


def post(world: World, merge_request: MergeRequest, author: User, new: NewNote) -> Posted:
    """Run the commands, save what is left, tell the webhooks. Checks the position first."""
    check_body(new.body)
    code = check_position(world, merge_request, new.position) if new.position else None
    extracted = quick_actions.extract(new.body)
    if extracted.commands and not extracted.text:
        outcome = quick_actions.run(world, merge_request, author, extracted.commands)
        if outcome.failed and not outcome.summary:
            raise bad_request(f"Could not apply {', '.join(outcome.failed)} command.")
        return Posted(None, outcome.changes, outcome.summary)
    note = save(world, merge_request, author, new, text=extracted.text, code=code)
    outcome = quick_actions.run(world, merge_request, author, extracted.commands)
    return Posted(note, outcome.changes, outcome.summary)


def save(  # a checked note
    world: World,
    merge_request: MergeRequest,
    author: User,
    new: NewNote,
    *,
    text: str,
    code: str | None,
) -> Note:
    now = world.clock.now()
    note = Note(
        id=world.next_id(),
        body=text,
        author=author,
        discussion_id=new.discussion_id or new_discussion_id(),
        created_at=now,
        updated_at=now,
        type="DiffNote" if new.position else new.type,
        internal=new.internal,
        position=new.position,
        original_position=new.position,
        line_code=code,
    )
    if new.thread is not None:
        _join(note, new.thread)
    merge_request.notes.append(note)
    note.suggestions = _suggestions(world, merge_request, note)
    touch_for_note(world, merge_request)
    events.note_event(world, merge_request, note, "create")
    return note


def _join(note: Note, first: Note) -> None:
    """Sit where the thread sits; an individual note becomes a thread by its first reply."""
    first.type = first.type or "DiscussionNote"
    note.position = first.position
    note.original_position = first.original_position
    note.line_code = first.line_code
    note.outdated = first.outdated


def _suggestions(world: World, merge_request: MergeRequest, note: Note) -> list[Suggestion]:
    """Keep the suggestion blocks of a note on a line that is still there in the new file."""
    position = note.position
    open_text = position and position.position_type == "text" and merge_request.state == "opened"
    if not open_text or position is None or position.new_line is None or not position.new_path:
        return []
    repository = merge_request.project.repository
    content = repository.file(position.head_sha, position.new_path) or b""
    lines = content.decode(errors="replace").splitlines(keepends=True)
    found = []
    for parsed in parse_suggestions(note.body):
        first = max(position.new_line - parsed.above, 1)
        last = min(position.new_line + parsed.below, len(lines))
        before = "".join(lines[first - 1 : last])
        found.append(Suggestion(world.next_id(), first, last, before, parsed.content))
    return found


def reply(  # a reply is a note in a discussion
    world: World,
    merge_request: MergeRequest,
    author: User,
    discussion: Discussion,
    body: str,
) -> Posted:
    """Add to a thread; an individual note becomes one."""
    first = discussion.notes[0]
    if first.system:
        raise bad_request("Discussion can not be replied to.")
    kind = "DiffNote" if first.type == "DiffNote" else "DiscussionNote"
    new = NewNote(body, kind, discussion_id=discussion.id, internal=first.internal, thread=first)
    return post(world, merge_request, author, new)


def edit(world: World, merge_request: MergeRequest, note: Note, body: str) -> None:
    """Change a note's text. Commands in an edit are not run, as in GitLab."""
    check_body(body)
    note.body = body
    note.updated_at = world.clock.now()
    note.suggestions = _suggestions(world, merge_request, note)
    touch_for_note(world, merge_request)
    events.note_event(world, merge_request, note, "update")


def set_resolved(
    world: World, merge_request: MergeRequest, user: User, notes: list[Note], *, resolved: bool
) -> None:
    for note in notes:
        if note.resolvable:
            note.resolved_by = user if resolved else None
            note.resolved_at = world.clock.now() if resolved else None
    touch_for_note(world, merge_request)
    threads = [d for d in merge_request.discussions() if d.resolvable]
    if resolved and all(thread.resolved for thread in threads):
        events.merge_request_event(world, merge_request, user, "update")
