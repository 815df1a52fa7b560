from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosting.scripted_host import home


@pytest.fixture
def own_home() -> Iterator[Path]:
    with home() as folder:
        yield folder
