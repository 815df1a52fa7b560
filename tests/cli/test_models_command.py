"""`assistant models` and `assistant doctor`, as real processes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def shell(tmp_path):
    """Runs the command with folders of its own; returns the finished process."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("STARCHAT_", "PIP_", "HF_"))}
    environment |= {
        "STARCHAT_HOME": str(tmp_path / "home"),
        "STARCHAT_CACHE": str(tmp_path / "cache"),
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_CONFIG_FILE": os.devnull,
    }

    def run(*arguments, **more):
        return subprocess.run(
            [sys.executable, "-P", "-m", "assistant.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=tmp_path,
            env={**environment, **more},
        )

    return run


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "mine"
    path.mkdir()
    (path / "config.json").write_text('{"model_type": "gpt_bigcode"}')
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    return path


def assert_one_line(process, code, *words):
    assert process.returncode == code, process.stderr
    assert len(process.stderr.strip().splitlines()) == 1, process.stderr
    assert "Traceback" not in process.stderr
    for word in words:
        assert word in process.stderr


def test_list_shows_every_model_for_people_and_programs(shell):
    table = shell("models", "list")
    assert table.returncode == 0, table.stderr
    for name in ("starchat2-15b", "qwen2.5-coder-0.5b", "BigCode OpenRAIL-M"):
        assert name in table.stdout
    rows = json.loads(shell("models", "list", "--json").stdout)["models"]
    assert {"starchat-alpha", "starcoder", "smollm2-135m"} <= {row["name"] for row in rows}
    assert not any(row["installed"] for row in rows)


def test_show_tells_licence_restrictions_hashes_and_what_was_not_measured(shell):
    shown = shell("models", "show", "StarChat").stdout
    assert "malware" in shown
    assert "not measured" in shown
    assert "recorded at first download" in shown
    row = json.loads(shell("models", "show", "qwen2.5-coder-0.5b", "--json").stdout)
    assert "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32" in row["files"][0]
    assert_one_line(shell("models", "show", "starchatt"), 5, "Did you mean")


def test_add_verify_show_and_remove_a_model_of_ones_own(shell, folder):
    assert shell("models", "add", folder, "--name", "ours").returncode == 0
    assert "ours" in shell("models", "list").stdout
    assert "safely" in shell("models", "verify", "ours").stdout
    assert "forgotten" in shell("models", "remove", "ours").stdout
    assert (folder / "model.safetensors").exists()
    assert_one_line(shell("models", "remove", "ours"), 5, "not installed")


def test_an_unsafe_folder_is_not_added(shell, folder):
    (folder / "model.safetensors").rename(folder / "model.bin")
    assert_one_line(shell("models", "add", folder), 5, "pickle")
    assert_one_line(shell("models", "add", folder / "nothing"), 3, "no model at")


def test_pull_without_a_terminal_asks_for_a_yes_and_names_the_command(shell):
    assert_one_line(
        shell("models", "pull", "qwen2.5-coder-1.5b"), 5, "1.1 GB", "Apache-2.0", "assistant models pull qwen2.5-coder-1.5b -y"
    )


def test_pull_without_a_network_says_so(shell):
    process = shell("models", "pull", "qwen2.5-coder-0.5b", "-y")
    assert process.returncode == 6
    assert "cannot be reached" in process.stderr.splitlines()[-1]
    assert "Licence  Apache-2.0" in process.stderr
    assert "Traceback" not in process.stderr
    assert_one_line(shell("models", "pull", "starchat", "-y"), 6, "cannot be reached", "--source FOLDER")


def test_verify_finds_a_damaged_file_and_remove_takes_it_away(shell, tmp_path):
    model = tmp_path / "cache" / "models" / "smollm2-135m"
    model.mkdir(parents=True)
    with (model / "SmolLM2-135M-Instruct.Q4_1.gguf").open("wb") as stream:
        stream.truncate(98_362_432)
    process = shell("models", "verify", "smollm2-135m")
    assert process.returncode == 5
    assert "is damaged" in process.stderr
    assert shell("models", "remove", "smollm2-135m").returncode == 0
    assert not model.exists()


def test_verify_names_what_nobody_knows(shell):
    assert_one_line(shell("models", "verify", "smolm2-135m"), 5, "No model is called", "smollm2-135m")


@pytest.mark.parametrize(
    ("command", "variable"), [("status", "STARCHAT_HOME"), ("stop", "STARCHAT_HOME"), ("models list", "STARCHAT_CACHE")]
)
def test_a_folder_that_cannot_be_read_is_one_line(shell, tmp_path, command, variable):
    process = shell(*command.split(), **{variable: str(tmp_path / ("long" * 100))})
    assert_one_line(process, 7, "cannot be", "name too long")


def test_a_remedy_names_the_variable_that_moves_the_folder(shell, tmp_path, folder):
    (tmp_path / "home").write_text("a file where a folder should be")
    assert_one_line(shell("models", "add", folder, "--name", "mine"), 7, "STARCHAT_HOME")
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert_one_line(shell("models", "pull", "smollm2-135m", "-y", STARCHAT_HOME=str(tmp_path / "other")), 7, "STARCHAT_CACHE")


def test_doctor_works_where_its_folder_cannot_be_made(shell):
    process = shell("doctor", STARCHAT_HOME="/proc/nowhere")
    assert process.returncode == 0, process.stdout + process.stderr
    assert str(Path("/proc/nowhere/hosts/*.log")) in process.stdout
    assert process.stderr == ""


def test_doctor_says_what_was_chosen_and_why(shell):
    process = shell("doctor")
    assert process.returncode == 0, process.stdout + process.stderr
    for word in ("cores", "memory", "xllamacpp", "why", "fix rate", "not measured", str(Path("cache") / "models")):
        assert word in process.stdout


def test_doctor_fails_where_nothing_can_run(shell):
    process = shell("doctor", "--device", "cuda:7")
    assert process.returncode == 5
    assert "problem" in process.stdout
    assert shell("doctor", "-m", "no-such-model").returncode == 5
    assert shell("doctor", "--endpoint", "localhost").returncode == 2


def test_doctor_reports_a_gpu_that_cannot_be_used(shell, tmp_path):
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\necho 'NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.'; exit 9\n"
    )
    program.chmod(0o755)
    process = shell("doctor", PATH=f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    assert "could not communicate with the NVIDIA driver" in process.stdout
    assert "warning" in process.stdout


def test_a_folder_as_source_is_compared_with_the_publishers_hash(shell, tmp_path):
    (tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF")
    process = shell("models", "pull", "smollm2-135m", "--source", tmp_path)
    assert_one_line(process, 6, "sha256 is wrong")
    assert hashlib.sha256(b"GGUF").hexdigest() not in process.stderr


def test_the_front_end_stays_light(tmp_path):
    code = (
        "import sys; from assistant.cli import main; main(['models', 'list', '--json']); main(['doctor']);"
        "heavy = {'torch', 'transformers', 'xllamacpp', 'starlette', 'uvicorn', 'huggingface_hub'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    environment = {**os.environ, "STARCHAT_HOME": str(tmp_path / "home"), "STARCHAT_CACHE": str(tmp_path / "cache")}
    process = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False, timeout=60, env=environment
    )
    assert process.returncode == 0, process.stderr
