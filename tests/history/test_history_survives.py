"""Promise 22: four writers, killed at any moment, lose no message that was acknowledged."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from assistant.history import records
from assistant.history.database import history_file
from tests.scale import rounds

WRITERS = 4
WRITER = Path(__file__).with_name("writer.py")


def test_no_acknowledged_message_is_lost() -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    acknowledged: dict[str, set[int]] = {}
    running: list[tuple[str, subprocess.Popen[bytes]]] = []
    for kill in range(rounds(500) + WRITERS):
        running.append(begin(f"writer{kill:04}"))
        if len(running) == WRITERS:
            time.sleep(chance.uniform(0, 0.08))
            name, process = running.pop(chance.randrange(WRITERS))
            acknowledged[name] = end(process)
    for name, process in running:
        acknowledged[name] = end(process)
    assert sum(map(len, acknowledged.values())) > rounds(500)
    for name, numbers in acknowledged.items():
        kept = [entry.content.split(" ")[1] for entry in records.entries(name) if entry.content]
        assert {int(number) for number in kept} >= numbers, name
        assert len(kept) == len(set(kept)) <= len(numbers) + 1, name  # one more may have been kept than could be told
    with closing(sqlite3.connect(history_file())) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not [path for path in history_file().parent.iterdir() if path.name.startswith("damaged")]


def begin(name: str) -> tuple[str, subprocess.Popen[bytes]]:
    """A writer that has kept its first message."""
    command = [sys.executable, str(WRITER), name]
    process = subprocess.Popen(command, bufsize=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.read(1) + process.stdout.read(1) == b"1\n"  # without a buffer, in which more could stay behind
    return name, process


def end(process: subprocess.Popen[bytes]) -> set[int]:
    """Kill the writer; the numbers that it had told.  A line that is not whole was not told."""
    process.kill()
    told, complaints = process.communicate()
    assert complaints == b""
    return {1, *(int(line) for line in told.splitlines(keepends=True) if line.endswith(b"\n"))}
