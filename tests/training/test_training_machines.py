"""Several machines: two launchers with names of their own, one rank each, on the loopback device."""

import json
import os
import shutil
import socket
import subprocess
import sys

import pytest

from training import launch
from training.config import load

pytest.importorskip("deepspeed", reason="the extra `train` is not installed")

ROWS = [
    {"messages": [{"role": "user", "content": f"Say {word}."}, {"role": "assistant", "content": word}]} for word in "abcdef"
]
SMALL = (
    *(
        "layers=1",
        "width=32",
        "heads=2",
        "vocab=300",
        "block=64",
        "global_batch=4",
        "micro_batch=2",
        "max_steps=4",
        "epochs=100",
    ),
    *("system=own", "eval_share=0", "tensorboard=false"),
)
UNSHARE = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"']


def may_rename_machines():
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*UNSHARE, "other", "true"], capture_output=True, check=False).returncode == 0


def machines(folder, keys, *more):
    """The end of each launcher: its exit code and what it said."""
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [
        sys.executable,
        "-m",
        "training",
        "tiny",
        f"data={folder / 'rows.jsonl'}",
        f"output={folder / 'run'}",
        *SMALL,
        *keys,
    ]
    started = [
        subprocess.Popen([*UNSHARE, f"machine-{number}", *command, *extra], stderr=subprocess.PIPE, text=True, env=environment)
        for number, extra in enumerate(more)
    ]
    said = [process.communicate(timeout=280)[1] for process in started]
    return [process.returncode for process in started], said


def meeting():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.skipif(not may_rename_machines(), reason="this user may not give a process another host name")
def test_two_machines_train_together_and_refuse_a_third_ones_keys(tmp_path):
    codes, said = machines(tmp_path, ["gpus=cpu:1", "nodes=2", f"rendezvous={meeting()}"], [], [])
    assert codes == [0, 0], said
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["world_size"] == 2 and report["steps"] == 4
    assert sorted(path.name for path in (tmp_path / "run" / "nodes").iterdir()) == ["machine-0", "machine-1"]
    shutil.rmtree(tmp_path / "run")
    codes, said = machines(tmp_path, ["gpus=cpu:1", "nodes=2", f"rendezvous={meeting()}"], [], ["seed=5"])
    assert 0 not in codes and any("the keys seed are not the same" in one for one in said), said


def test_a_machine_finds_its_own_address_on_the_way_to_the_meeting_place():
    assert launch._address("127.0.0.1:29500") == "127.0.0.1"
    for wrong in ("127.0.0.1:29500 x", "29500", "host:"):
        with pytest.raises(launch.UsageError, match="HOST:PORT"):
            load("tiny", ["nodes=2", f"rendezvous={wrong}"])
