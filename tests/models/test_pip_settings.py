"""The package index is the one that pip would ask."""

from __future__ import annotations

import os

import pytest
from pip._internal.models.index import PyPI

from assistant.errors import DownloadError
from assistant.models.sources.pip_settings import load


@pytest.fixture
def config(tmp_path):
    """An environment whose pip configuration file has the given text."""

    def write(text):
        path = tmp_path / "pip.conf"
        path.write_text(text)
        return {"PIP_CONFIG_FILE": str(path)}

    return write


def test_without_settings_it_is_the_public_index():
    (index,) = load({"PIP_CONFIG_FILE": os.devnull}).indexes
    assert index == PyPI.simple_url


def test_the_file_is_read_and_the_environment_comes_first(config):
    environment = config(
        "[global]\nindex-url = https://one.example/simple/\ncert = /some/roots.pem\nproxy = http://proxy:3128\n"
    )
    found = load(environment)
    assert (found.indexes, found.certificates, found.proxy) == (
        ("https://one.example/simple",),
        "/some/roots.pem",
        "http://proxy:3128",
    )
    assert load({**environment, "PIP_INDEX_URL": "https://two.example/simple"}).indexes == ("https://two.example/simple",)


def test_extra_indexes_follow_and_folders_are_passed_over(config):
    environment = config(
        "[global]\nindex_url = https://one.example/simple\nextra-index-url =\n    file:///local/simple\n    http://two.example/simple\n"
    )
    assert load(environment).indexes == ("https://one.example/simple", "http://two.example/simple")


def test_no_index_means_no_index(config):
    with pytest.raises(DownloadError, match="no-index"):
        load(config("[global]\nno-index = true\n"))
    with pytest.raises(DownloadError, match="on the web"):
        load({"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "file:///local/simple"})


def test_a_broken_file_is_passed_over(config):
    load(config("no section here = 1"))
