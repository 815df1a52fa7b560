"""A process that keeps messages and acknowledges each on standard output once it is kept: `CONVERSATION NUMBER`.

Some are written as an answer that grows is: begun, and amended.  It is killed at any moment.
"""

from __future__ import annotations

import sys
import time
from itertools import count

from assistant.history import records
from assistant.history.records import Entry

name = sys.argv[1]
for number in count(1):
    said = f"message {number} of {name} " + "padding " * (number % 700)
    if number % 3:
        records.add(name, Entry("user", said))
    else:
        records.amend(records.add(name, Entry("assistant", "")), said)
    print(number, flush=True)
    time.sleep(0.005)  # SQLite's waiting is not fair: writers that never rest would starve one another
