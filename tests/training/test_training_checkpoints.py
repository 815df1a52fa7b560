"""A checkpoint is whole or not there: kill -9, flipped bits, a full disk.  STARCHAT_SCALE=1 runs the full counts."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from assistant.errors import UsageError
from training import checkpoints, config, resume

SCALE = float(os.environ.get("STARCHAT_SCALE", "0.05"))
WRITER = Path(__file__).with_name("writer.py")
SEED = int(os.environ.get("STARCHAT_SEED", "20"))


def writer(folder, *more):
    return subprocess.Popen([sys.executable, WRITER, folder, *map(str, more)], stdout=subprocess.PIPE, text=True)


@pytest.fixture
def three(tmp_path):
    """A folder with the checkpoints of a short run."""
    process = writer(tmp_path)
    for line in process.stdout:
        if line == "step 3\n":
            break
    process.kill()
    process.communicate()
    return tmp_path


def test_every_kill_leaves_a_good_checkpoint_that_is_not_older_than_the_last_that_was_reported(tmp_path):
    random_ = random.Random(SEED)
    reported = 0
    for _ in range(round(500 * SCALE)):
        begins = _newest(tmp_path)
        process = writer(tmp_path)
        lines = iter(process.stdout)
        assert next(lines) == f"begin {begins}\n"
        steps = []
        until = time.monotonic() + random_.uniform(0, 0.2)
        for line in lines:
            steps.append(int(line.split()[1]))
            if time.monotonic() > until:
                break
        time.sleep(random_.uniform(0, 0.01))
        process.kill()
        steps += [int(line.split()[1]) for line in lines if line.startswith("step ") and line.endswith("\n")]
        process.wait()
        process.stdout.close()
        reported = max([reported, *steps])
        assert _newest(tmp_path) >= reported


def _newest(folder):
    found = checkpoints.newest(folder)
    return found[1].step if found else 0


def test_whatever_byte_flips_the_checkpoint_before_it_is_taken(three):
    random_ = random.Random(SEED)
    names = sorted(path.name for path in three.glob("step-*"))
    for _ in range(round(1000 * SCALE)):
        path = random_.choice(sorted((three / names[-1]).iterdir()))
        raw = bytearray(path.read_bytes())
        place, bit = random_.randrange(len(raw)), 1 << random_.randrange(8)
        raw[place] ^= bit
        path.write_bytes(raw)
        found = checkpoints.newest(three)
        raw[place] ^= bit
        path.write_bytes(raw)
        # A flip in the manifest may touch what does not matter, such as the note on random numbers; never the data.
        if path.name != checkpoints.MANIFEST:
            assert found[0].name == names[-2]
        assert found is not None
    assert checkpoints.newest(three)[0].name == names[-1]


@pytest.mark.parametrize("damage", ["truncate", "remove", "manifest", "empty manifest"])
def test_damaged_checkpoints_are_passed_over(three, damage):
    last = max(three.glob("step-*"))
    shard = next(last.glob("*.safetensors"))
    if damage == "truncate":
        shard.write_bytes(shard.read_bytes()[:-1])
    elif damage == "remove":
        shard.unlink()
    else:
        (last / checkpoints.MANIFEST).write_text("" if damage == "empty manifest" else json.dumps({"step": 3}))
    damaged = []
    assert checkpoints.newest(three, damaged.append)[0] != last and damaged == [last]


def test_a_full_disk_is_a_clear_error_and_leaves_the_last_checkpoint(three):
    before = _newest(three)
    for limit in range(0, 200_000, round(1000 / SCALE)):
        process = writer(three, limit)
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 7 and "Free space" in out
        assert _newest(three) == before


def test_pruning_keeps_the_newest_and_clears_what_was_left_half_written(three):
    checkpoints.begin(three, 99)
    checkpoints.prune(three, 1, 99)
    assert [path.name for path in sorted(three.iterdir())] == [f"step-{_newest(three):08d}"]


def test_a_damaged_checkpoint_takes_no_place_from_the_ones_that_a_run_begun_anew_writes(tmp_path):
    aside = tmp_path / "step-00000400.mine"
    aside.mkdir()
    write(tmp_path, 400)
    shard = next((tmp_path / "step-00000400").glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-1])
    for step in (50, 100):
        write(tmp_path, step)
        checkpoints.prune(tmp_path, 1, step)
        assert _newest(tmp_path) == step
    assert not (tmp_path / "step-00000050").exists() and aside.is_dir()
    write(tmp_path, 400)
    checkpoints.prune(tmp_path, 1, 400)
    assert _newest(tmp_path) == 400 and not (tmp_path / "step-00000100").exists()


def write(folder, step):
    partial = checkpoints.begin(folder, step)
    seal = checkpoints.write_shard(partial, "rank-00000.master.safetensors", {"weight": np.zeros(3, dtype=np.float32)})
    manifest = checkpoints.Manifest(step, step, 1, {"weight": [3]}, "data", {"seed": 1}, (seal,))
    checkpoints.commit(partial, manifest)


def test_another_recipe_is_refused_by_its_keys_before_anything_is_read(tmp_path):
    recipe = config.load("starchat-alpha")
    partial = checkpoints.begin(tmp_path, 7)
    seal = checkpoints.write_shard(partial, "rank-00000.master.safetensors", {"weight": np.zeros(3, dtype=np.float32)})
    manifest = checkpoints.Manifest(7, 7, 1, {"weight": [3]}, "data", resume.deciding(recipe), (seal,))
    checkpoints.commit(partial, manifest)
    for free in ("gpus=cpu:1", "micro_batch=2", "data=elsewhere.jsonl", "output=elsewhere"):
        resume.refuse_other_keys(config.load("starchat-alpha", [free]), tmp_path)
    with pytest.raises(UsageError, match=r"learning_rate was 2e-05, is 0.01; seed was 42, is 5\. Set them back"):
        resume.refuse_other_keys(config.load("starchat-alpha", ["learning_rate=0.01", "seed=5"]), tmp_path)
