"""From what the user asked for to a spec: names, folders, files, scripts, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from assistant.errors import ConsentNeeded, DownloadError, InputError, ModelError, UsageError
from assistant.models import receipts, registry
from assistant.models.catalogue import named
from assistant.models.installing import install
from assistant.models.prepare import is_remote, prepare
from assistant.settings import Settings, load

CONFIG = {"model_type": "gpt_bigcode"}


def refuse(offer):
    return False


def ignore(progress):
    pass


def prepared(model, **more):
    return prepare(Settings(model=model, **more), refuse, ignore)


@pytest.fixture
def folder(tmp_path):
    """A small model folder."""
    path = tmp_path / "My-Model"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG))
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    return path


@pytest.fixture
def gguf(tmp_path):
    path = tmp_path / "toy.gguf"
    path.write_bytes(b"GGUF" + (3).to_bytes(4, "little") + bytes(24))
    return path


def test_a_folder_is_taken_as_it_is(folder):
    spec = prepared(str(folder))
    assert (spec.path, spec.format, spec.template, spec.name) == (folder, "safetensors", "auto", "My-Model")
    assert spec.device == "cpu"


def test_a_gguf_file_gets_a_window_that_a_cpu_can_fill(gguf):
    spec = prepared(str(gguf), threads=1)
    assert (spec.path, spec.format, spec.context_length, spec.threads) == (gguf, "gguf", 8192, 1)


def test_a_script_plays_a_model(tmp_path):
    script = tmp_path / "play.json"
    script.write_text("[]")
    spec = prepared(f"scripted:{script}")
    assert (spec.path, spec.format) == (script, "scripted")
    with pytest.raises(InputError, match="no file"):
        prepared("scripted:/nowhere")


def test_a_name_of_ones_own(folder):
    registry.add(folder, "Mine", "few-shot")
    spec = prepared("mine")
    assert (spec.name, spec.path, spec.template) == ("mine", folder, "few-shot")
    with pytest.raises(UsageError, match="catalogue has"):
        registry.add(folder, "starchat")
    registry.forget("MINE")
    with pytest.raises(ModelError, match="No model is called"):
        prepared("mine")


def test_a_poisoned_folder_is_refused_at_every_door(folder):
    registry.add(folder, "mine")
    (folder / "config.json").write_text('{"auto_map": {"AutoModel": "evil.Model"}}')
    for open_it in (lambda: prepared(str(folder)), lambda: prepared("mine"), lambda: registry.add(folder, "again")):
        with pytest.raises(ModelError, match="code of its own"):
            open_it()


def test_few_shot_examples_of_ones_own(folder, tmp_path):
    examples = tmp_path / "examples.txt"
    examples.write_text("Be helpful.\n-----\nHuman: a\n\nAssistant: b\n")
    spec = prepared(str(folder), few_shot=str(examples))
    assert (spec.template, spec.few_shot) == ("few-shot", examples)


@pytest.mark.parametrize("url", ["http://localhost:8000/v1", "HTTPS://example.org"])
def test_urls_are_remote(url):
    assert is_remote(url)
    with pytest.raises(UsageError):
        prepared(url)


@pytest.mark.parametrize("model", ["/nowhere/model", "./nothing.gguf", "nothing.gguf", "~/nothing-here"])
def test_a_path_to_nothing_is_a_clear_line(model):
    with pytest.raises(InputError, match="no model at"):
        prepared(model)


def test_a_misspelt_name_is_guessed(folder):
    registry.add(folder, "company-model")
    with pytest.raises(ModelError, match="Did you mean company-model"):
        prepared("companymodel")


def test_other_files_are_refused(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    with pytest.raises(ModelError, match="no GGUF"):
        prepared(str(text))


def test_a_pinned_model_from_a_folder_is_compared_with_its_hash(tmp_path):
    entry = named("smollm2-135m")
    stick = tmp_path / "stick"
    stick.mkdir()
    with pytest.raises(InputError, match=r"holds no SmolLM2"):
        install(entry, refuse, ignore, str(stick))
    (stick / entry.files[0].name).write_bytes(b"something else")
    with pytest.raises(DownloadError, match="not the publisher's file"):
        install(entry, refuse, ignore, str(stick))
    assert receipts.installed("smollm2-135m") is None


def test_a_folder_source_needs_no_network_and_is_verified(tmp_path):
    content = os.urandom(1000)
    file = replace(named("smollm2-135m").files[0], size=1000, sha256=hashlib.sha256(content).hexdigest())
    entry = replace(named("smollm2-135m"), name="toy", files=(file,))
    (tmp_path / file.name).write_bytes(content)
    receipt = install(entry, refuse, ignore, str(tmp_path))
    assert (receipt.folder / file.name).read_bytes() == content
    assert receipts.all_installed() == (receipt,)
    assert receipts.remove("toy") > 1000
    assert receipts.all_installed() == ()


def test_a_cache_that_was_copied_answers_for_its_own_files(tmp_path, monkeypatch):
    entry = named("smollm2-135m")
    folder, name = receipts.folder_of(entry.name), entry.files[0].name
    folder.mkdir(parents=True)
    with (folder / name).open("wb") as stream:
        stream.truncate(entry.files[0].size)
    receipts.record(entry.name, folder, "somewhere", "main", {name: entry.files[0].sha256})
    shutil.copytree(os.environ["STARCHAT_CACHE"], tmp_path / "copy")
    monkeypatch.setenv("STARCHAT_CACHE", str(tmp_path / "copy"))
    assert receipts.installed(entry.name).folder == tmp_path / "copy" / "models" / entry.name
    (receipts.folder_of(entry.name) / name).write_bytes(b"cut off")
    assert receipts.installed(entry.name) is None


def test_a_receipt_that_was_tampered_with_is_not_believed(tmp_path):
    entry = named("smollm2-135m")
    folder = receipts.folder_of(entry.name)
    folder.mkdir(parents=True)
    target = folder / entry.files[0].name
    with target.open("wb") as stream:
        stream.truncate(entry.files[0].size)
    receipts.record(entry.name, folder, "somewhere", "main", {entry.files[0].name: "0" * 64})
    with pytest.raises(ModelError, match="damaged"):
        prepared("smollm2-135m")


def test_the_flag_comes_before_the_environment_and_that_before_the_file(monkeypatch):
    home = Path(os.environ["STARCHAT_HOME"])
    home.mkdir()
    (home / "settings.toml").write_text('model = "scripted:/from/file"\n')
    assert_names(load(), "/from/file")
    monkeypatch.setenv("STARCHAT_MODEL", "scripted:/from/environment")
    assert_names(load(), "/from/environment")
    assert_names(load({"model": "scripted:/from/flag"}), "/from/flag")


def assert_names(settings, path):
    with pytest.raises(InputError, match=path):
        prepare(settings, refuse, ignore)


def test_without_consent_nothing_is_fetched(web, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", f"{web.url}/simple")
    with pytest.raises(ConsentNeeded, match="smollm2-135m was not downloaded") as caught:
        prepared("smollm2-135m")
    assert "assistant models pull smollm2-135m" in caught.value.remedy
    assert web.asked == []


def test_broken_lists_of_models_are_reported():
    home = Path(os.environ["STARCHAT_HOME"])
    home.mkdir()
    (home / "models.json").write_text("{")
    with pytest.raises(ModelError, match=r"models\.json is no list of models"):
        prepared("anything")
