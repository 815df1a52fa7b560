"""The line that a run shows: never wider than the terminal, in full where it is not one."""

import io
import math

import pytest

from training.machine import Machine
from training.progress import Progress
from training.trainer import Step


class Terminal(io.StringIO):
    def isatty(self):
        return True


def taken(number, **keys):
    plain = {"step": number, "loss": 1.25, "learning_rate": 2e-5, "norm": 1.0, "tokens": 1000, "trained": 500, "seconds": 0.5}
    return Step(**(plain | keys))


def shown(out, machine, **keys):
    progress = Progress(40, machine, 6e9, out)
    for number in range(1, 41):
        progress.show(taken(number, **keys, eval_loss=0.5 if number == 20 else None), 12.34)
    return out.getvalue()


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_on_a_terminal_it_stays_on_its_line(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    text = shown(Terminal(), Machine("A100-80GB", 8, 80.0, 312.0))
    for line in text.replace("\n", "").split("\r\x1b[K"):
        assert len(line) < columns
    assert text.count("\n") == 2 and text.endswith("\n") and "eval 0.5000\n" in text
    bars = [line.count("█") for line in text.split("\r\x1b[K")[1:]]
    assert (bars[0], bars[19], bars[-1]) == ((0, 10, 20) if columns == 200 else (0, 0, 0))
    assert "ETA" in text.split("\r\x1b[K")[1] or columns < 80


def test_in_a_file_it_is_a_line_now_and_then_with_every_number():
    lines = shown(io.StringIO(), Machine("cpu", 2, 24.0), loss=math.nan).splitlines()
    assert len(lines) == 20 and lines[9].endswith("eval 0.5000")
    assert lines[0] == "step 2/40  loss nan  2,000 tok/s  ETA 00:19  mem 12.3 GiB  lr 2.00e-05"
