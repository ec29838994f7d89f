"""The comment box and the reply boxes of the page, and what is sent from them.

A person of the project writes; the script sends JSON, which no page of another origin can send
without being asked first.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from tests.simulators.gitlab import comments
from tests.simulators.gitlab.state import DEVELOPER, GUEST

if TYPE_CHECKING:
    from tests.simulators.gitlab.state import Discussion, MergeRequest, Project, User
    from tests.simulators.gitlab.world import World

_ROLES = {10: "Guest", 15: "Planner", 20: "Reporter", 30: "Developer", 40: "Maintainer"}


def people(world: World, project: Project) -> list[User]:
    """Return who may write here, a Developer first: that is who types commands in a demo."""
    found = [
        user
        for user in world.users.values()
        if not user.bot and project.access_level(user) >= GUEST
    ]
    return sorted(found, key=lambda user: (abs(project.access_level(user) - DEVELOPER), user.id))


def comment_box(world: World, record: MergeRequest) -> str:
    choices = "".join(_choice(record.project, user) for user in people(world, record.project))
    return f"""<form class="say" data-keep="say">
<textarea name="body" rows="3" required aria-label="Comment"
placeholder="Write a comment. /copilot help lists what the agent does."></textarea>
<p class="bar"><label>as <select name="author">{choices}</select></label>
<span class="problem" role="alert"></span><button>Comment</button></p></form>"""


def _choice(project: Project, user: User) -> str:
    level = project.access_level(user)
    role = _ROLES.get(level, f"level {level}")
    return f'<option value="{escape(user.username)}">{escape(user.name)} ({role})</option>'


def reply_box(discussion: Discussion) -> str:
    return f"""<details class="reply" data-keep="reply-{discussion.id}"><summary>Reply</summary>
<form class="say" data-discussion="{discussion.id}"><textarea name="body" rows="2" required
aria-label="Reply"></textarea><p class="bar"><span class="problem" role="alert"></span>
<button>Reply</button></p></form></details>"""


def post(world: World, record: MergeRequest, sent: dict[str, Any]) -> None:
    """Write a comment or a reply; raises ValueError for what no form sends, and ApiError."""
    text, username = sent.get("body"), sent.get("author")
    author = next((u for u in people(world, record.project) if u.username == username), None)
    if author is None or not isinstance(text, str) or not text.strip():
        raise ValueError("A comment needs words, and somebody of this project who writes them.")
    if "discussion_id" not in sent:
        comments.post(world, record, author, comments.NewNote(text))
        return
    discussion = record.discussion(str(sent["discussion_id"]))
    if discussion is None:
        raise ValueError("This thread is not there any more.")
    comments.reply(world, record, author, discussion, text)
