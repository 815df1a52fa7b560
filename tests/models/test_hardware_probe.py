"""The probe, with real programs in place of `nvidia-smi`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from assistant.models.hardware import installed_torch, probe


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Puts a script called `nvidia-smi` first on the PATH."""

    def put(script):
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    return put


def test_this_machine_has_cores_and_memory():
    hardware = probe()
    assert hardware.cores >= 1
    assert 0 < hardware.free_memory <= hardware.memory


def test_gpus_are_read(nvidia_smi, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    nvidia_smi('echo "0, NVIDIA H100 80GB HBM3, 81559, 81000, 570.86"; echo "1, NVIDIA L4, 23034, 22000, 570.86"')
    first, second = probe().gpus
    assert (first.name, first.total, first.free) == ("NVIDIA H100 80GB HBM3", 81559 << 20, 81000 << 20)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    (only,) = probe().gpus
    assert (only.index, only.name) == (0, second.name)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            'echo "NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver."; exit 9',
            "could not communicate",
        ),
        ('echo "garbage"', "garbage"),
        ("exit 1", "nothing"),
    ],
)
def test_a_broken_driver_is_reported(nvidia_smi, script, said):
    nvidia_smi(script)
    hardware = probe()
    assert hardware.gpus == ()
    assert said in hardware.gpu_problem


def test_a_hanging_driver_costs_seconds_at_most(nvidia_smi):
    nvidia_smi("exec sleep 60")
    assert "did not answer" in probe().gpu_problem


def test_no_device_is_no_problem(nvidia_smi):
    nvidia_smi('echo "No devices were found"; exit 6')
    assert probe().gpu_problem == ""


def test_torch_is_judged_without_importing_it():
    code = "import sys; from assistant.models.hardware import probe; probe(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0
    found = installed_torch()
    assert found is None or found.version[0].isdigit()
