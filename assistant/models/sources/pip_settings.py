"""The package index that this machine's pip would ask: from its environment variables and configuration files.

Source: https://pip.pypa.io/en/stable/topics/configuration/ (later files override earlier ones, the environment overrides both).
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import platformdirs

from assistant.errors import DownloadError

_SECTIONS = ("global", "download")
_TRUE = {"1", "true", "yes", "on", "y", "t"}


@dataclass(frozen=True, slots=True)
class PipSettings:
    """What matters here of pip's settings.

    indexes: URLs of simple indexes, http or https, in the order in which they are asked.
    trusted: hosts whose certificate pip does not check.
    """

    indexes: tuple[str, ...]
    certificates: str | None = None
    proxy: str | None = None
    trusted: tuple[str, ...] = ()


def load(environment: Mapping[str, str] | None = None) -> PipSettings:
    """The settings in force.

    Raises:
        DownloadError: pip is told to use no index, none of its indexes is one of http or https, or there is no pip to ask.
    """
    environment = os.environ if environment is None else environment
    values = {key: value for path in _config_files(environment) for key, value in _options(path)}
    for key in ("index-url", "extra-index-url", "cert", "proxy", "trusted-host", "no-index"):
        values[key] = environment.get(f"PIP_{key.replace('-', '_').upper()}") or values.get(key, "")
    if values["no-index"].strip().lower() in _TRUE:
        raise DownloadError("pip's settings forbid the use of a package index (no-index).", "Choose --source hub or a folder.")
    listed = [values["index-url"] or _default_index(), *values["extra-index-url"].split()]
    indexes = tuple(url.rstrip("/") for url in listed if url.startswith(("https://", "http://")))
    if not indexes:
        raise DownloadError("None of the package indexes of pip's settings is on the web.", "Choose --source hub or a folder.")
    return PipSettings(indexes, values["cert"] or None, values["proxy"] or None, tuple(values["trusted-host"].split()))


def _default_index() -> str:
    """The index that pip asks where nothing is set, as pip itself knows it."""
    try:
        index = import_module("pip._internal.models.index").PyPI.simple_url
    except (ImportError, AttributeError) as error:
        raise DownloadError(
            "No package index is set, and there is no pip here that knows the usual one.", "Set PIP_INDEX_URL."
        ) from error
    return str(index)


def _config_files(environment: Mapping[str, str]) -> Iterator[Path]:
    """The files of pip, in the order in which later ones override earlier ones."""
    name = "pip.ini" if sys.platform == "win32" else "pip.conf"
    named = environment.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    for folder in platformdirs.site_config_dir("pip", appauthor=False, multipath=True).split(os.pathsep):
        yield Path(folder) / name
    if sys.platform != "win32":
        yield Path("/etc/pip.conf")
    yield Path.home() / ("pip" if sys.platform == "win32" else ".pip") / name
    yield Path(platformdirs.user_config_dir("pip", appauthor=False, roaming=True)) / name
    yield Path(sys.prefix) / name
    if named:
        yield Path(named)


def _options(path: Path) -> Iterator[tuple[str, str]]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return
    for section in _SECTIONS:
        if parser.has_section(section):
            yield from ((key.replace("_", "-"), value) for key, value in parser.items(section))
