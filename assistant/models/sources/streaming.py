"""One file over HTTP: streamed to disk, taken up where an earlier try stopped, and compared with its hash."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import httpx2

from assistant import __version__
from assistant.errors import DownloadError
from assistant.models.files import publish, sha256_of, storage_errors

_TRIES = 5
_RESUMED = 206
_NOT_THERE = (404, 410)
_PAST_THE_END = 416


def open_client(proxy: str | None = None, certificates: str | None = None, insecure: bool = False) -> httpx2.Client:
    """A client that honours proxies and `SSL_CERT_FILE` from the environment.

    certificates: a file of root certificates to trust instead;  insecure: trust any certificate (every file is hashed anyhow).
    """
    verify: ssl.SSLContext | bool = not insecure
    if certificates and not insecure:
        verify = ssl.create_default_context(cafile=certificates)
    return httpx2.Client(
        timeout=httpx2.Timeout(15.0, connect=5.0),
        follow_redirects=True,
        proxy=proxy,
        verify=verify,
        headers={"user-agent": f"starchat-assistant/{__version__}", "accept-encoding": "identity"},
    )


def download(client: httpx2.Client, url: str, target: Path, sha256: str, advance: Callable[[int], None]) -> None:
    """Fetch `url` to `target`, which appears only once it is whole and has this sha256.

    What arrives is kept in `target` + `.part`; a later call asks the server for the rest only.  `advance` is told of every
    further count of bytes, negative where what was kept had to be thrown away.

    Raises:
        DownloadError: the server cannot be reached, refuses, or sent something else.
        StorageError: the disk failed.
    """
    part = target.with_name(f"{target.name}.part")
    with storage_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        advance(part.stat().st_size)
        _fetch_with_retries(client, url, part, advance)
        if sha256_of(part) != sha256:
            advance(-part.stat().st_size)
            part.unlink()
            raise DownloadError(
                f"{target.name} from {host_of(url)} is not the file that was promised: its sha256 is wrong.",
                "It was thrown away; run it again, or choose another --source.",
            )
        publish(part, target)


def host_of(url: str) -> str:
    """The host that a URL names, without any password in it."""
    return httpx2.URL(url).host or url


def _fetch_with_retries(client: httpx2.Client, url: str, part: Path, advance: Callable[[int], None]) -> None:
    failures = 0
    while True:
        before = part.stat().st_size
        try:
            _fetch(client, url, part, advance)
        except httpx2.TransportError as error:
            failures = 1 if part.stat().st_size > before else failures + 1
            if failures >= _TRIES or isinstance(error, httpx2.ConnectError | httpx2.ProxyError):
                raise unreachable(url, error) from error
            time.sleep(0.2 * failures)
        else:
            return


def _fetch(client: httpx2.Client, url: str, part: Path, advance: Callable[[int], None]) -> None:
    have = part.stat().st_size
    headers = {"range": f"bytes={have}-"} if have else {}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == _PAST_THE_END and _whole_size(response) == have:
            return
        if have and (response.status_code != _RESUMED or not _resumes_at(response, have)):
            advance(-have)
            os.truncate(part, 0)
            if response.status_code in (_RESUMED, _PAST_THE_END):
                raise httpx2.ReadError("the server resumed at another place")
        refuse_failure(response, url)
        # Chunks as they come, flushed at once: what arrived before a cut or a kill need not be fetched again.
        with part.open("ab") as stream:
            for chunk in response.iter_raw():
                stream.write(chunk)
                stream.flush()
                advance(len(chunk))


def refuse_failure(response: httpx2.Response, url: str) -> None:
    """Raise a DownloadError, or a transport error that is worth another try, unless the answer is a success."""
    if response.is_success:
        return
    status = f"{host_of(url)} answered {response.status_code} {response.reason_phrase}".strip()
    if response.status_code in _NOT_THERE:
        raise DownloadError(f"{status} for {httpx2.URL(url).path}.", "It is not there (any more); choose another --source.")
    if response.status_code >= 500 or response.status_code == 429:
        raise httpx2.ReadError(status)
    raise DownloadError(
        f"{status} for {httpx2.URL(url).path}.", "Check your access rights and proxy, or choose another --source."
    )


def unreachable(url: str, error: Exception) -> DownloadError:
    """The error for a server that cannot be reached, or that broke off again and again."""
    reason = str(error) or type(error).__name__
    return DownloadError(
        f"{host_of(url)} cannot be reached or broke off: {reason}.",
        "Check the network and the proxy settings and run it again; what has arrived is kept.",
    )


def _resumes_at(response: httpx2.Response, have: int) -> bool:
    return response.headers.get("content-range", "").startswith(f"bytes {have}-")


def _whole_size(response: httpx2.Response) -> int:
    size = response.headers.get("content-range", "").rpartition("/")[2]
    return int(size) if size.isdecimal() else -1
