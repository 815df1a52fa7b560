"""The smallest model that talks, opened once for all tests that need a real one."""

import os

import pytest

from assistant.hosting import llama_engine
from assistant.models.prepare import prepare
from assistant.settings import Settings


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory):
    """A home of its own; the model cache is the user's, so that nothing is fetched twice."""
    before = os.environ.get("STARCHAT_HOME")
    os.environ["STARCHAT_HOME"] = str(tmp_path_factory.mktemp("home"))
    yield
    os.environ.pop("STARCHAT_HOME")
    if before is not None:
        os.environ["STARCHAT_HOME"] = before


@pytest.fixture(scope="session")
def smollm2(home):
    """The spec of SmolLM2-135M, fetched and verified by the product itself."""
    return prepare(Settings(model="smollm2-135m", threads=1), consent=lambda _: True, report=lambda _: None)


@pytest.fixture(scope="session")
def llama(smollm2):
    engine = llama_engine.open(smollm2, lambda _: None)
    yield engine
    engine.close()
