"""Nobody but the process itself reaches its llama.cpp, and nothing of it stays behind."""

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(120)

PROGRAM = """
import json, sys, time
from pathlib import Path
from assistant.hosting import llama_engine
from assistant.hosting.engine import EngineRequest
from assistant.models.spec import ModelSpec

engine = llama_engine.open(ModelSpec.from_json(sys.argv[1]), lambda _: None)
list(engine.stream(EngineRequest((28120, 28120), 2, frozenset()), lambda: False))
sockets = {Path(f"/proc/self/fd/{fd.name}").readlink().name for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()}
tables = [line.split() for table in ("tcp", "tcp6", "udp", "udp6") for line in open(f"/proc/self/net/{table}").readlines()[1:]]
print(json.dumps({"internet": [row for row in tables if f"socket:[{row[9]}]" in sockets], "sockets": len(sockets)}), flush=True)
if sys.argv[2] == "stay":
    time.sleep(60)
if sys.argv[2] == "close":
    engine.close()
    print(json.dumps(len(list(Path("/proc/self/task").iterdir()))), flush=True)
"""


@pytest.fixture
def temporary(tmp_path_factory):
    with tempfile.TemporaryDirectory(prefix="sc") as folder:
        yield Path(folder)


def opened(smollm2, temporary, manner):
    command = [sys.executable, "-c", PROGRAM, smollm2.to_json(), manner]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    return process, json.loads(process.stdout.readline())


@pytest.mark.skipif(not Path("/proc/self/net").is_dir(), reason="the system's table of sockets is Linux's")
def test_no_internet_socket_a_private_folder_and_a_stale_one_is_cleaned(smollm2, temporary):
    process, said = opened(smollm2, temporary, "stay")
    try:
        assert said["internet"] == []
        assert said["sockets"] > 0
        (folder,) = temporary.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert [path.name for path in folder.iterdir()] == ["x.sock"]
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert folder.exists()
    after, _ = opened(smollm2, temporary, "leave")
    after.communicate(timeout=30)
    assert list(temporary.iterdir()) == []


def test_close_frees_threads_and_folder_and_nothing_is_written(smollm2, temporary):
    process, _ = opened(smollm2, temporary, "close")
    out, err = process.communicate(timeout=30)
    assert json.loads(out) <= 2
    assert err == ""
    assert process.returncode == 0
    assert list(temporary.iterdir()) == []


def test_a_model_can_be_closed_as_soon_as_it_is_open(smollm2):
    program = """
import sys
from assistant.hosting import llama_engine
from assistant.models.spec import ModelSpec
for _ in range(6):
    llama_engine.open(ModelSpec.from_json(sys.argv[1]), lambda _: None).close()
"""
    subprocess.run([sys.executable, "-c", program, smollm2.to_json()], check=True, timeout=60)


def test_the_socket_asks_for_the_key(llama):
    import socket

    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(llama.server._address)
        connection.sendall(b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}")
        assert b"401" in connection.recv(4096).split(b"\r\n")[0]
