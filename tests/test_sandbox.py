"""The cage, with real processes in it that try to get out, to take everything, or never to end."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assistant import sandbox
from assistant.errors import InputError, SandboxError
from assistant.sandbox import Job, Limits, Outcome

pytestmark = pytest.mark.skipif(bool(sandbox.unavailable()), reason=f"no cage: {sandbox.unavailable()}")


def python(folder: Path, code: str, **limits: float) -> Outcome:
    """Run code in a cage of its own."""
    folder.mkdir(exist_ok=True)
    chosen = Limits(**{"seconds": 30, **limits})
    return asyncio.run(sandbox.run(Job((sys.executable, "-c", code), folder, limits=chosen)))


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own"


def test_what_it_prints_and_how_it_ends_come_back(own: Path) -> None:
    done = python(own, "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert (done.status, done.stopped) == (3, "")
    assert sorted(done.output.split()) == ["err", "out"]
    assert not done.passed
    assert python(own, "open('made', 'w').write('x')").passed
    assert (own / "made").read_text() == "x"


@pytest.mark.parametrize(
    "code",
    [
        "socket.create_connection(('127.0.0.1', PORT))",
        "socket.socket(socket.AF_INET6)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))",
        "socket.socket(socket.AF_UNIX).connect('UNIX')",
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', 'UNIX')",
        "subprocess.run([sys.executable, '-c', 'import socket; socket.socket()'], check=True)",
    ],
)
def test_no_socket_leads_out(own: Path, tmp_path: Path, code: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door, socket.socket(socket.AF_UNIX) as other:
        door.settimeout(0.05)
        other.bind(str(tmp_path / "d"))
        other.listen()
        code = code.replace("PORT", str(door.getsockname()[1])).replace("UNIX", str(tmp_path / "d"))
        done = python(own, f"import socket, subprocess, sys\n{code}\nprint('reached')")
        assert done.status == 1
        assert "reached" not in done.output
        with pytest.raises(TimeoutError):
            door.accept()


def test_programs_may_talk_to_their_own_children(own: Path) -> None:
    code = (
        "import asyncio, socket, subprocess, sys\n"
        "a, b = socket.socketpair(); a.send(b'x'); assert b.recv(1) == b'x'\n"
        "asyncio.run(asyncio.sleep(0))\n"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE, start_new_session=True)\n"
        "child.kill(); print(child.wait())"
    )
    done = python(own, code)
    assert done.passed, done.output
    assert done.output == "-9\n"


@pytest.mark.parametrize(
    "attempt",
    [
        "open(OUTSIDE, 'w')",
        "open(OUTSIDE, 'a')",
        "os.truncate(OUTSIDE, 0)",
        "os.close(os.open(OUTSIDE, os.O_RDONLY | os.O_TRUNC))",
        "os.remove(OUTSIDE)",
        "os.rename(OUTSIDE, 'mine')",
        "os.link(OUTSIDE, 'mine'); open('mine', 'w')",
        "os.symlink(OUTSIDE, 'mine'); open('mine', 'w')",
        "os.mkdir(OUTSIDE + '2')",
        "open('/proc/self/cwd/../outside', 'w')",
        "os.chmod(OUTSIDE, 0o666); raise OSError",
        "os.utime(OUTSIDE, (1, 1)); raise OSError",
        "os.setxattr(OUTSIDE, 'user.x', b'1')",
        "os.mknod('device', 0o600 | 0o020000, os.makedev(1, 3))",
        "subprocess.run(['sh', '-c', 'echo x > ' + OUTSIDE], check=True)",
        "open(f'/proc/{os.getppid()}/environ').read()",
        "open(OUTSIDE).read()",
        "os.listdir(os.path.dirname(OUTSIDE))",
    ],
)
def test_nothing_outside_is_read_or_changed(own: Path, tmp_path: Path, attempt: str) -> None:
    outside = tmp_path / "outside"
    outside.write_text("kept")
    before = outside.stat()
    done = python(own, f"import os, subprocess\nOUTSIDE = {str(outside)!r}\n{attempt}\nprint('done')")
    assert "done" not in done.output
    after = outside.stat()
    assert outside.read_text() == "kept"
    assert (before.st_mode, before.st_mtime, before.st_nlink) == (after.st_mode, after.st_mtime, after.st_nlink)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside", "own"]
    assert not os.listxattr(outside)


def test_a_program_that_it_made_can_run(own: Path) -> None:
    code = "import os, subprocess\nopen('p', 'w').write('#!/bin/sh\\necho ran')\nos.chmod('p', 0o755)\nsubprocess.run('./p')"
    assert python(own, code).output == "ran\n"


def test_an_endless_loop_ends_at_its_limit(own: Path) -> None:
    done = python(own, "while True: pass", seconds=1)
    assert (done.status, done.stopped) == (-9, "time")
    assert 1 <= done.seconds < 20


@pytest.mark.parametrize("again", ["os.fork()", "os.fork(); os.setsid()", "os.fork() or os.setpgid(0, 0)"])
def test_a_fork_bomb_is_stopped(own: Path, again: str) -> None:
    done = python(own, f"import os\nwhile True: {again}", processes=40)
    assert done.stopped == "processes"
    assert not left(own)


def test_memory_is_bounded(own: Path) -> None:
    alone = python(own, "x = bytearray(600 << 20)", memory=300 << 20)
    assert alone.status == 1
    assert "MemoryError" in alone.output
    many = "import os, time\nfor _ in range(3): os.fork()\nx = b'1' * (90 << 20)\ntime.sleep(60)"
    assert python(own, many, memory=300 << 20, seconds=50).stopped == "memory"


def test_output_is_bounded_and_its_ends_are_kept(own: Path) -> None:
    done = python(own, "print('first')\nwhile True: print('x' * 10000)", output=3 << 20, kept=8192)
    assert done.stopped == "output"
    assert done.output.startswith("first\n")
    assert "bytes are not shown" in done.output
    assert len(done.output) < 9000


def test_the_disk_is_bounded(own: Path) -> None:
    one = python(own, "f = open('f', 'wb')\nwhile True: f.write(bytes(1 << 20))", file=4 << 20)
    assert "File too large" in one.output
    many = "import itertools, time\nfor n in itertools.count(): open(str(n), 'wb').write(b'x' * (1 << 20)); time.sleep(0.005)"
    assert python(own, many, disk=20 << 20, seconds=60).stopped == "disk"


@pytest.mark.parametrize(
    "hide", ["", "os.setsid()", "signal.signal(signal.SIGTERM, signal.SIG_IGN)", "os.close(1); os.close(2)"]
)
def test_nothing_survives(own: Path, hide: str) -> None:
    child = f"{hide or 'pass'}\n    if os.fork() == 0: time.sleep(100)\n    time.sleep(100)"
    code = f"import os, signal, time\nif os.fork() == 0:\n    {child}"
    done = python(own, code)
    assert done.passed
    assert done.seconds < 20
    assert not left(own)


def test_processes_outside_are_out_of_reach(own: Path) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        attempts = [f"os.kill({pid}, 9)" for pid in (bystander.pid, -bystander.pid, -1)] + ["os.kill(os.getppid(), 9)"]
        code = "\n".join(f"try: {each}\nexcept OSError: print('refused')" for each in attempts)
        limit = f"resource.prlimit({bystander.pid}, resource.RLIMIT_NOFILE, (1, 1))"
        code += f"\nimport resource\ntry: {limit}\nexcept OSError: print('no')"
        done = python(own, f"import os\n{code}")
        assert done.output.count("refused") >= 3
        assert "no" in done.output
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_the_environment_is_clean(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "canary")
    monkeypatch.setenv("PYTHONSTARTUP", "canary")
    done = python(own, "import os, tempfile; print(dict(os.environ), tempfile.gettempdir(), os.path.expanduser('~'))")
    assert "canary" not in done.output
    assert done.output.split()[-2:] == [str(own / "tmp"), str(own / "home")]


def test_programs_that_path_names_can_be_read(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tool/bin/run", "tool/lib/data", "other/data"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"#!/bin/sh\ncat {tmp_path}/tool/lib/data; cat {tmp_path}/other/data\n")
    (tmp_path / "tool" / "bin" / "run").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/tool/bin{os.pathsep}{os.environ['PATH']}")
    own.mkdir()
    done = asyncio.run(sandbox.run(Job(("run",), own)))
    assert done.output.startswith("#!/bin/sh")
    assert "Permission denied" in done.output


def test_whoever_stops_waiting_ends_it(own: Path) -> None:
    own.mkdir()

    async def leave() -> None:
        code = "import time; open('begun', 'w').close(); time.sleep(100)"
        running = asyncio.create_task(sandbox.run(Job((sys.executable, "-c", code), own)))
        while not (own / "begun").exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.02)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(leave())
    assert not left(own)


def test_it_ends_with_the_process_that_asked(own: Path) -> None:
    own.mkdir()
    slow = "import time; open('begun', 'w'); time.sleep(100)"
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom assistant.sandbox import Job, run\n"
        f"asyncio.run(run(Job((sys.executable, '-c', {slow!r}), Path({str(own)!r}))))"
    )
    asking = subprocess.Popen([sys.executable, "-P", "-c", code])
    while not (own / "begun").exists():
        time.sleep(0.02)
    asking.kill()
    asking.wait()
    deadline = time.monotonic() + 30
    while left(own) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not (found := left(own)), [(pid, Path(f"/proc/{pid}/status").read_text()[:300]) for pid in found]


def test_a_program_that_is_not_there_is_said(own: Path) -> None:
    own.mkdir()
    with pytest.raises(InputError, match="no program 'no-such-program'"):
        asyncio.run(sandbox.run(Job(("no-such-program",), own)))


def test_without_a_cage_it_refuses_unless_told(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    own.mkdir()
    job = Job((sys.executable, "-c", "print(1)"), own)
    with pytest.raises(SandboxError, match="built for Linux only") as refused:
        asyncio.run(sandbox.run(job))
    assert "--unsandboxed" in refused.value.remedy
    assert refused.value.exit_code == 10


def test_limits_hold_without_a_cage_too(own: Path) -> None:
    own.mkdir()
    loop = "import os, time\nif os.fork() == 0: os.setsid()\ntime.sleep(100)"
    job = Job((sys.executable, "-c", loop), own, limits=Limits(seconds=1), confined=False)
    done = asyncio.run(sandbox.run(job))
    assert done.stopped == "time"
    assert not left(own)


def left(folder: Path) -> list[int]:
    """Processes that still work in a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if (entry / "cwd").readlink() == folder and b"assistant.cage" not in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found
