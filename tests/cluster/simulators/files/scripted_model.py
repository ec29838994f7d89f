"""The simulated model, and sessions on order: what a person writes after `SCRIPT:` is played.

Served by `peers.py` in the cluster, where tests cannot change a server's state as they do in
process. The words may stand in a command, a title or an issue.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field

from aiohttp import web

from tests.simulators.model.chat import Chat
from tests.simulators.model.coder import change, run, submit
from tests.simulators.model.modes import DEFAULT_MODE, reply_to
from tests.simulators.model.replies import Call, Hang, Raw, Reply, Say, completion

ORDER = re.compile(r"SCRIPT: (look|eat|hang|pause)(?: (\d+))?")
IN_MEMORY = r"""
import re
for pid in __import__("os").listdir("/proc"):
    if not pid.isdigit() or int(pid) == __import__("os").getpid():
        continue
    try:
        maps = open(f"/proc/{pid}/maps").read()
        memory = open(f"/proc/{pid}/mem", "rb", 0)
    except OSError as error:
        print("memory of", pid, type(error).__name__)
        continue
    for line in maps.splitlines():
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        try:
            memory.seek(start)
            seen = memory.read(min(end - start, 1 << 27))
        except (OSError, ValueError, OverflowError):
            continue
        for hit in re.findall(rb"[a-z-]{2,20}-cana" + rb"ry-[0-9a-z-]+", seen):
            print("memory of", pid, hit.decode())
"""
LOOKS = (
    "env; id; mount; ls -la / /root /home /work /work/* /tmp /etc/gca /var/run/secrets ~ 2>&1",
    "for f in /proc/[0-9]*/environ; do echo $f; cat $f | tr '\\0' '\\n'; done 2>&1",
    "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; ps auxe 2>&1; git config --list; cat .git/config",
    "timeout 20 grep -rlsI cana''ry /work /tmp /etc /var /run /app ~ | head -50; echo searched",
    f"cat > /tmp/look.py <<'END'{IN_MEMORY}END\ntimeout 20 python3 /tmp/look.py | sort -u",
)
EATS = "python3 -c 'print(len([b\"x\" * 50_000_000 for _ in range(400)]))'; echo $?"


@dataclass
class ScriptedModel:
    """One server; `requests` are the bodies that carried the right key."""

    api_key: str
    requests: list[dict[str, object]] = field(default_factory=list)

    def application(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/-/sim/health", self._health)
        app.router.add_get("/-/sim/requests", self._requests)
        return app

    async def _chat(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.api_key}":
            raise web.HTTPUnauthorized
        body = await request.json()
        self.requests.append(body)
        chat = Chat.read(body)
        await asyncio.sleep(pause(chat))
        reply = played(chat)
        match reply:
            case Raw():
                return web.Response(status=reply.status, text=reply.body)
            case Hang():
                await asyncio.Event().wait()
        assert isinstance(reply, Say)
        told = completion(chat, reply, number=len(self.requests), created=1)
        return web.json_response(told)

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "requests": len(self.requests)})

    async def _requests(self, request: web.Request) -> web.Response:
        """All bodies, or with `?about=` those that hold this text."""
        about = request.query.get("about", "")
        return web.json_response([b for b in self.requests if about in json.dumps(b)])


def pause(chat: Chat) -> float:
    """Seconds before the first answer of a session that asks for a pause."""
    order = ORDER.search(chat.prompt)
    return float(order[2] or 10) if order and order[1] == "pause" and not chat.turns else 0.0


def played(chat: Chat) -> Reply:
    """What this request gets: the script that its prompt names, else an honest turn."""
    order = ORDER.search(chat.prompt)
    match order[1] if order else "":
        case "hang":
            return Hang()
        case "look" if "bash" in chat.tools:
            return _all_of(chat, LOOKS)
        case "eat" if "bash" in chat.tools:
            return _all_of(chat, (EATS,))
    return reply_to(chat, default=DEFAULT_MODE)


def _all_of(chat: Chat, commands: tuple[str, ...]) -> Say:
    done = len(chat.called("bash"))
    if done < len(commands):
        return Say(None, (run(commands[done]),))
    if not chat.called("create"):
        told = {"path": f"seen-{len(chat.prompt)}.txt", "file_text": "looked\n"}
        return Say(None, (Call("create", told),))
    path = str(chat.called("create")[0].arguments["path"])
    return submit(chat, change("Look around", "I have looked around.", path))
