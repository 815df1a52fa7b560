"""llama.cpp inside this process: its server object, silent, behind a socket that nobody else can reach.

The wheel's server object always listens.  It is given a Unix socket in a private folder and a random key; only its `/tokenize`
is used through it, by this process.  Generation goes through `handle_completions`, in process.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Protocol

from assistant.errors import HostError, ModelError
from assistant.models.gguf import check_gguf

_PREFIX = "starchat-llama-"
_LONGEST_ADDRESS = 100


class Native(Protocol):
    """The part of `xllamacpp.Server` that is used."""

    def handle_completions(self, request: Mapping[str, Any], hear: Callable[[dict[str, Any]], bool]) -> object:
        """Generate; `hear` gets each event and answers True to stop.  Blocks, without holding the interpreter's lock."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the server may use.

    context_length: tokens of the window when it is open wide.
    batch: prompt tokens computed between two chances to stop.
    cache_mib: memory for the KV of conversations other than the current one.
    states: the folder of the files that `save` writes; None where nothing is saved.
    narrow: tokens of the window at first: a prompt of 4,096 and a reply of 4,096, which is what a request without a limit gets.
    """

    context_length: int
    threads: int
    batch: int
    cache_mib: int
    states: Path | None = None
    narrow: int = 8192


class LlamaServer:
    """A loaded model, and the private folder with its socket; both go with `close`, or when the process exits.

    The window opens only as far as most requests need, since its KV cache is cleared when it is made, which takes as long as
    reading dozens of tokens; `widen` opens it to the end, which takes a second or two and forgets what was cached.
    """

    def __init__(self, model: Path, limits: Limits) -> None:
        _remove_stale_folders()
        self._model = model
        self._limits = limits
        self._window = limits.context_length if limits.context_length <= limits.narrow * 3 // 2 else limits.narrow
        self._folder = Path(_private_folder())
        self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._key = secrets.token_urlsafe(32)
        self._native: Native | None = None
        self._steady = threading.Lock()
        try:
            self._open()
        except BaseException:
            self._remove()
            raise

    @property
    def _address(self) -> str:
        return str(self._folder / "x.sock")

    def holds(self, tokens: int) -> bool:
        """Whether the window is open wide enough for so many tokens."""
        return tokens <= self._window or self._window == self._limits.context_length

    def widen(self) -> None:
        """Open the window to the end.  No generation may be under way.

        Raises:
            ModelError: there is no memory for it any more; the window stays as it was.
        """
        with self._steady:
            narrow, self._window = self._window, self._limits.context_length
            self._native = None  # the old cache goes before the new one comes
            try:
                self._open()
            except ModelError:
                self._window = narrow
                self._open()
                raise

    def save(self, name: str) -> int:
        """Write the state of the slot to the file `name` in the folder for states; how many tokens it holds."""
        return int(self._post("/slots/0?action=save", json.dumps({"filename": name}))["n_saved"])

    def restore(self, name: str) -> None:
        """Put the state in the file `name` into the slot.  The file must be sound: a damaged one ends the process."""
        self._post("/slots/0?action=restore", json.dumps({"filename": name}))

    def _open(self) -> None:
        with suppress(FileNotFoundError):
            Path(self._address).unlink()
        self._native = _start(self._model, replace(self._limits, context_length=self._window), self._address, self._key)
        # A server that is freed before its loop has begun never ends (xllamacpp 2026.10); an answer shows that it has begun.
        self._post("/slots/0?action=erase", "{}")

    def generate(self, request: Mapping[str, Any], hear: Callable[[dict[str, Any]], bool]) -> None:
        """Generate in the calling thread; `hear` gets each event and answers True to stop."""
        if self._native is None:
            raise HostError("The model has been closed.", "Start the model host again.")
        self._native.handle_completions(request, hear)

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text` without any control token that the vocabulary files as such, and with nothing added."""
        body = json.dumps({"content": text, "add_special": False, "parse_special": False})
        with self._steady:
            tokens: list[int] = self._post("/tokenize", body)["tokens"]
        return tokens

    def close(self) -> None:
        """Free the weights and remove the folder."""
        self._native = None
        self._remove()

    def _post(self, path: str, body: str) -> Any:  # noqa: ANN401 - JSON
        connection = _UnixConnection(self._address)
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        try:
            connection.request("POST", path, body.encode(), headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, HTTPException) as error:
            raise HostError(f"llama.cpp does not answer: {error}.", "Run `assistant stop` and try again.") from error
        finally:
            connection.close()
        if response.status != 200:
            raise HostError(f"llama.cpp answered {response.status} to {path}.", "Run `assistant stop` and try again.")
        return json.loads(answer)


class _UnixConnection(HTTPConnection):
    def __init__(self, address: str) -> None:
        super().__init__("localhost", timeout=60)
        self._address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._address)


def _start(model: Path, limits: Limits, address: str, key: str) -> Native:
    try:
        # libgomp reads it when it is loaded.  Threads that wait for each other must not spin for long: on busy cores, two
        # threads with libgomp's own figure wrote 1 token a second, where one thread wrote 7 and two with this figure 8.
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
        import xllamacpp  # type: ignore[import-untyped]  # the wheel has no types
    except ImportError as error:
        raise ModelError(
            f"llama.cpp cannot be loaded: {error}.", "Reinstall xllamacpp; on Debian or Ubuntu, install libgomp1 as well."
        ) from error
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx = limits.context_length
    params.n_batch = params.n_ubatch = limits.batch
    params.n_parallel = 1
    params.cache_ram_mib = limits.cache_mib
    if limits.states is not None:
        params.slot_save_path = f"{limits.states}/"
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = limits.threads
    params.fit_params = params.warmup = False
    # Where the text repeats what stands in the prompt, tokens are drafted from there: edits gain, chat loses nothing.
    params.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
    _close_doors(params, address, key)
    try:
        native: Native = xllamacpp.Server(params)
    except RuntimeError as error:
        check_gguf(model)
        raise ModelError(
            f"llama.cpp cannot open {model.name}: the file is damaged, or its architecture is unknown.",
            "Download the model again, or choose another: `assistant models` lists them.",
        ) from error
    return native


def _close_doors(params: Any, address: str, key: str) -> None:  # noqa: ANN401 - the wheel has no types
    params.hostnames = [address]
    params.api_keys = [key]
    params.cors_origins = ""
    params.ui = params.endpoint_props = params.endpoint_metrics = False
    params.endpoint_slots = True  # states are saved and restored through it
    params.use_jinja = params.enable_chat_template = False  # a model's own template is never rendered
    params.n_threads_http = 2
    params.offline = True
    params.verbosity = -1  # its log would hold prompts


def _private_folder() -> str:
    """A new folder for its owner alone, with a path short enough for a socket's address."""
    for parent in (tempfile.gettempdir(), "/tmp"):
        folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent)
        if len(folder.encode()) + len("/x.sock") <= _LONGEST_ADDRESS:
            return folder
        Path(folder).rmdir()
    raise HostError(f"The temporary folder {parent} has too long a path for a socket.", "Set TMPDIR to a shorter one.")


def _remove_stale_folders() -> None:
    """Remove what processes of this user left behind that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        with suppress(OSError):
            if owner.isdigit() and folder.stat().st_uid == os.getuid() and not _alive(int(owner)):
                shutil.rmtree(folder, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
