"""A host's beginning and end: one for all who start it, found whatever lies around, gone without a trace."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from assistant import address, crashes, hosts
from assistant.client import Delta, Waiting
from assistant.errors import HostError, ModelError
from assistant.host import connect
from assistant.hosts import is_alive
from assistant.models.spec import ModelSpec
from assistant.settings import Settings
from tests.hosting.scripted_host import SETTINGS, answer, ask, client_of, end_all, first, record_of, script, until
from tests.scale import rounds


def greet(spec: ModelSpec, settings: Settings = SETTINGS) -> tuple[int, str]:
    """The host's process and what it answers."""

    async def main() -> tuple[int, str]:
        async with client_of(spec, settings) as client:
            return record_of(spec).pid, (await answer(client, ask("hi")))[0]

    return asyncio.run(main())


ASKER = """
import asyncio, json, sys
from assistant.host import connect
from assistant.models.spec import ModelSpec
from assistant.settings import Settings
async def main():
    client = await connect(ModelSpec.from_json(sys.argv[1]), Settings(idle_minutes=2), lambda waiting: None)
    print((await client.health())["pid"])
    await client.close()
asyncio.run(main())
"""


def test_ten_processes_at_once_start_one_host(own_home: Path) -> None:
    spec = script(own_home, load_ms=300)
    askers = [
        subprocess.Popen([sys.executable, "-c", ASKER, spec.to_json()], stdout=subprocess.PIPE, text=True)
        for _ in range(max(10, rounds(20)))
    ]
    pids = [asker.communicate(timeout=60)[0].strip() for asker in askers]
    assert all(asker.returncode == 0 for asker in askers)
    assert len(set(pids)) == 1 and pids[0]
    assert [path.suffix for path in sorted((own_home / "hosts").glob("*.json"))] == [".json"]


def test_a_host_is_shared_and_outlives_who_started_it(own_home: Path) -> None:
    spec = script(own_home)
    starter = subprocess.run(
        [sys.executable, "-c", ASKER, spec.to_json()], capture_output=True, text=True, timeout=60, check=True
    )
    assert greet(spec) == (int(starter.stdout), "ok")


def test_a_host_is_cut_loose_from_its_starter(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = own_home / "workspace"
    for name in ("assistant", "torch", "json", "sitecustomize"):
        (hostile / name).mkdir(parents=True)
        (hostile / name / "__init__.py").write_text(f"open({str(own_home / 'ran')!r}, 'a').write(__name__)")
    monkeypatch.setenv("PYTHONPATH", str(hostile))
    monkeypatch.setenv("PYTHONSTARTUP", str(hostile / "json" / "__init__.py"))
    monkeypatch.setenv("STARCHAT_API_KEY", "secret")
    monkeypatch.chdir(hostile)
    pid, _ = greet(script(own_home))
    process = Path(f"/proc/{pid}")
    if process.is_dir():
        environment = (process / "environ").read_bytes()
        assert b"PYTHON" not in environment and b"secret" not in environment
        assert (process / "cwd").readlink() == own_home / "hosts"
        targets = [str(link.readlink()) for link in (process / "fd").iterdir()]
        assert not [target for target in targets if "/dev/pts" in target or target.startswith("pipe:")]
    assert os.getsid(pid) == pid
    assert not (own_home / "ran").exists()


@pytest.mark.parametrize("left", ["garbage", "dead", "reused", "elsewhere"])
def test_what_a_dead_host_left_is_in_nobodys_way(own_home: Path, left: str) -> None:
    spec = script(own_home)
    folder = own_home / "hosts"
    folder.mkdir(mode=0o700)
    file = folder / f"{spec.key}.json"
    dead = address.HostRecord(
        spec.key, "played", 4_000_000, 0.0, socket=str(folder / f"{spec.key}.sock"), build=address.build()
    )
    if left == "garbage":
        file.write_text("{")
    elif left == "dead":
        file.write_text(json.dumps(asdict(dead)))
    elif left == "reused":
        file.write_text(json.dumps(asdict(replace(dead, pid=os.getpid()))))
        Path(dead.socket or "").write_text("a file in the socket's place")
    else:
        file.write_text(json.dumps(asdict(replace(dead, socket=None, port=9, token="x"))))
    assert greet(spec)[1] == "ok"
    assert record_of(spec).pid != dead.pid


def test_a_host_whose_address_was_deleted_is_found_again(own_home: Path) -> None:
    spec = script(own_home)
    pid, _ = greet(spec)
    (own_home / "hosts" / f"{spec.key}.json").unlink()
    assert greet(spec) == (pid, "ok")


def test_a_host_of_another_version_finishes_its_work_and_makes_room(own_home: Path) -> None:
    spec = script(own_home, {"match": "slow", "reply": "slow but whole", "delay_ms": 40})

    async def main() -> None:
        async with client_of(spec) as old:
            delta, stream = await first(old, ask("slow"), Delta)
            record = record_of(spec)
            address.write(replace(record, version="0.0.0", build="other"))
            async with client_of(spec) as new:
                assert record_of(spec).pid != record.pid
                assert (await answer(new, ask("hi")))[0] == "ok"
            rest = [item.text async for item in stream if isinstance(item, Delta)]
            assert "".join((delta.text, *rest)) == "slow but whole"
            assert not crashes.recent(spec.key)

    asyncio.run(main())


def test_an_idle_host_ends_and_leaves_nothing_behind(own_home: Path) -> None:
    spec = script(own_home)
    greet(spec, Settings(idle_minutes=0.01))
    until(lambda: not is_alive(spec.key), 5)
    left = {path.suffix for path in (own_home / "hosts").iterdir()}
    assert not left & {".json", ".sock"}
    assert greet(spec)[1] == "ok" and not crashes.recent(spec.key)


def test_a_host_whose_home_is_deleted_ends(own_home: Path) -> None:
    spec = script(own_home)
    pid, _ = greet(spec)
    shutil.rmtree(own_home / "hosts")
    until(lambda: not Path(f"/proc/{pid}").exists() or b"State:\tZ" in Path(f"/proc/{pid}/status").read_bytes(), 5)
    assert not (own_home / "hosts").exists()


def test_a_signal_ends_a_host_within_two_seconds_in_the_middle_of_an_answer(own_home: Path) -> None:
    spec = script(own_home, {"reply": "x" * 1000, "delay_ms": 20})

    async def main() -> None:
        async with client_of(spec) as client:
            _, stream = await first(client, ask("go"), Delta)
            _, queued = await first(client, ask("go"), Waiting)
            os.kill(record_of(spec).pid, signal.SIGTERM)
            begun = time.perf_counter()
            for items in (stream, queued):
                with pytest.raises(HostError):
                    _ = [item async for item in items]
            while is_alive(spec.key):
                assert time.perf_counter() - begun < 2
                await asyncio.sleep(0.01)

    asyncio.run(main())


def test_a_model_that_cannot_be_loaded_says_why_and_the_next_start_tries_again(own_home: Path) -> None:
    spec = script(own_home, fail="The weights are damaged.", load_ms=200)
    with pytest.raises(ModelError, match="weights are damaged"):
        greet(spec)
    script(own_home, {"reply": "fine now"})
    until(lambda: not is_alive(spec.key), 5)
    assert greet(spec)[1] == "fine now"


def test_loading_is_shown_and_waited_for(own_home: Path) -> None:
    spec, seen = script(own_home, load_ms=600), []

    async def main() -> None:
        client = await connect(spec, SETTINGS, seen.append)
        await client.close()

    asyncio.run(main())
    states = [waiting.state for waiting in seen]
    assert states.index("starting") < states.index("loading")
    shares = [waiting.progress for waiting in seen if waiting.state == "loading"]
    assert shares == sorted(shares) and len(set(shares)) > 3


@pytest.mark.parametrize(("manner", "said"), [("segv", r"Segmentation fault\."), ("kill", "want of memory"), ("exit", "ended")])
def test_a_host_that_dies_while_loading_is_reported_at_once(own_home: Path, manner: str, said: str) -> None:
    spec = script(own_home, kill=manner, load_ms=50)
    with pytest.raises(HostError, match=said) as caught:
        greet(spec)
    assert str(own_home) in caught.value.remedy


def test_a_start_that_fails_quotes_the_reason(own_home: Path) -> None:
    spec = script(own_home)
    (own_home / "hosts").mkdir(mode=0o700)
    (own_home / "hosts" / f"{spec.key}.sock").mkdir()  # no socket can be made here
    with pytest.raises(HostError, match=r"did not start: .*(Error|directory)"):
        greet(spec)


def test_a_home_with_a_long_path_gets_a_short_private_folder(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARCHAT_HOME", str(own_home / ("long" * 30)))
    spec = script(own_home)
    try:
        assert greet(spec)[1] == "ok"
        socket = Path(record_of(spec).socket or "")
        assert len(bytes(socket)) <= 100 and socket.parent.stat().st_mode & 0o077 == 0
        assert socket.stat().st_mode & 0o077 == 0 and socket.stat().st_uid == os.getuid()
    finally:
        asyncio.run(end_all())
    assert not socket.exists()


def test_hosts_can_be_listed_and_stopped(own_home: Path) -> None:
    one, two = script(own_home, name="one"), script(own_home, name="two")
    greet(one), greet(two)
    found = asyncio.run(hosts.running())
    assert {host.record.model for host in found} == {"one", "two"}
    command = [sys.executable, "-m", "assistant.cli"]
    shown = subprocess.run([*command, "status", "--json"], capture_output=True, text=True, check=True)
    assert {host["status"] for host in json.loads(shown.stdout)["hosts"]} == {"ok"}
    unclear = subprocess.run([*command, "stop"], capture_output=True, text=True, check=False)
    assert unclear.returncode == 2 and "one, two" in unclear.stderr
    stopped = subprocess.run([*command, "stop", "one"], capture_output=True, text=True, check=True)
    assert "Stopped one" in stopped.stdout and not is_alive(one.key) and is_alive(two.key)
    subprocess.run([*command, "stop", "--all"], check=True, capture_output=True)
    assert not is_alive(two.key)
