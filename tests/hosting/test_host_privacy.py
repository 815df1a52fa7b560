"""Promise 16: what users write stays out of every file of ours, and no connection leaves the machine."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import pytest

from assistant.client import ChatRequest
from assistant.conversation import start
from assistant.errors import AssistantError
from tests.hosting.scripted_host import answer, client_of, exchange, health, post, record_of, script
from tests.scale import rounds

CANARY = "k4n4ry-S3CRET-{}"


def test_no_log_holds_what_users_wrote(own_home: Path) -> None:
    spec = script(
        own_home, {"match": "oom", "oom": True}, {"match": "die", "crash": "segv"}, {"echo": True}, context_length=500
    )

    async def main() -> None:
        async with client_of(spec) as client:
            for number in range(rounds(1000)):
                text = f"{CANARY.format(number)} {('', 'oom', 'x' * 600)[number % 3]}"
                with contextlib.suppress(AssistantError):
                    await answer(client, ChatRequest(start(text), stop=(text[-3:],), prediction=text))
                await client.count(start(text[:100]))
            for body in (b'{"messages": "' + CANARY.encode(), b"GET /" + CANARY.encode()):
                await asyncio.to_thread(exchange, spec, post("/v1/chat/completions", body))
            with contextlib.suppress(AssistantError):
                await answer(client, ChatRequest(start(CANARY.format("die"))))

    asyncio.run(main())
    written = [path for path in (own_home / "hosts").iterdir() if path.is_file()]
    log = own_home / "hosts" / f"{spec.key}.log"
    assert log in written and b"request" in log.read_bytes()
    for path in written:
        assert b"k4n4ry" not in path.read_bytes(), path
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_host_opens_no_connection(own_home: Path) -> None:
    spec = script(own_home)

    async def main() -> None:
        async with client_of(spec) as client:
            await answer(client, ChatRequest(start("hi")))

    asyncio.run(main())
    assert health(spec)["status"] == "ok"
    links = [str(link.readlink()) for link in Path(f"/proc/{record_of(spec).pid}/fd").iterdir()]
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    for table in ("tcp", "tcp6", "udp", "udp6"):
        rows = Path(f"/proc/{record_of(spec).pid}/net/{table}").read_text().splitlines()[1:]
        assert not inodes & {row.split()[9] for row in rows}
