"""A program at a real terminal: typed into, read from, interrupted, closed."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|[\x01\x02]")


class Terminal:
    """`said` is all that came, without the sequences that move the cursor and colour the text; `raw` is all of it."""

    def __init__(self, command: list[str], environment: dict[str, str], folder: Path) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, cwd=folder, env={**environment, "TERM": "xterm"},
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no thread of ours holds a lock then
        )  # fmt: skip
        os.close(slave)
        self.raw = ""
        self._seen = 0

    @property
    def said(self) -> str:
        return _SEQUENCE.sub("", self.raw)

    def type(self, text: str) -> None:
        data = text.encode()
        while data:
            self._read(0)
            if select.select([], [self._master], [], 0.2)[1]:
                data = data[os.write(self._master, data[:1024]) :]

    def wait_for(self, text: str, seconds: float = 30) -> str:
        """What came until `text` did, from where the last wait ended."""
        end = time.monotonic() + seconds
        while text not in self.said[self._seen :]:
            assert time.monotonic() < end, f"{text!r} did not come; {self.said[-2000:]!r}"
            if not self._read(0.1) and self.process.poll() is not None and not self._read(0):
                assert text in self.said[self._seen :], f"{text!r} did not come; {self.said[-2000:]!r}"
        start, self._seen = self._seen, self.said.index(text, self._seen) + len(text)
        return self.said[start : self._seen]

    def interrupt(self, until: str) -> None:
        """Press Ctrl-C until `until` comes: Python forgets one that meets it between a prompt and its read."""
        end = time.monotonic() + 60
        while until not in self.said[self._seen :]:
            assert time.monotonic() < end, f"{until!r} did not come; {self.said[-2000:]!r}"
            os.write(self._master, b"\x03")
            pressed = time.monotonic()
            while until not in self.said[self._seen :] and time.monotonic() < pressed + 4:
                self._read(0.1)
        self.wait_for(until)

    def close(self) -> None:
        os.close(self._master)
        self._master = -1

    def wait(self, seconds: float = 15) -> int:
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            if self._master < 0 or not self._read(0.05):
                time.sleep(0.02)
        return self.process.wait(0.1)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self._master >= 0:
            self.close()

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the program has ended
            return False
        self.raw += data.decode(errors="replace")
        return bool(data)
