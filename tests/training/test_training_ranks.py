"""Real ZeRO-3 on real ranks: launched three times, asked many questions."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assistant.conversation import start
from assistant.template import STARCHAT, encode
from tests.scale import rounds
from training import records, vocabulary
from training.encoding import Vocabulary

pytest.importorskip("deepspeed", reason="the extra `train` is not installed")

# Three launches of real ranks are set up by one test, and the machine may be busy.
pytestmark = pytest.mark.timeout(900)

SEED = int(os.environ.get("STARCHAT_SEED", "20"))
RANKS = Path(__file__).with_name("ranks.py")
SMALL = (
    *("layers=2", "width=64", "heads=2", "vocab=300", "block=64", "global_batch=4", "micro_batch=1", "max_steps=48"),
    *("epochs=100", "learning_rate=1e-2", "save_every=16", "keep=9", "eval_every=16", "tensorboard=false", "system=own"),
)
PAIRS = [("Say a.", "alpha"), ("Say b.", "beta beta"), ("Say c.", "gamma")]
ENVIRONMENT = os.environ | {
    "OMP_NUM_THREADS": "1",
    "DS_ACCELERATOR": "cpu",
    "DEEPSPEED_LOG_LEVEL": "error",
    "GLOO_SOCKET_IFNAME": "lo",
}


def rows(folder):
    """Three dialogues again and again: little enough to be learnt by heart in a few steps."""
    lines = []
    for number in range(60):
        question, answer = PAIRS[number % 3]
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        lines.append(json.dumps({"messages": messages, "license": "MIT", "group": f"g{number}"}))
    (folder / "rows.jsonl").write_text("\n".join(lines))


def keys(folder):
    return [f"data={folder / 'rows.jsonl'}", f"output={folder / 'run'}", *SMALL]


# Variables that change what other trainers do, one of them without a word.
STRANGE = {"ACCELERATE_USE_CPU": "true", "ACCELERATE_USE_FSDP": "true", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true"}
LAUNCHED = ENVIRONMENT | STRANGE | {"ACCELERATE_MIXED_PRECISION": "bf16", "DS_ACCELERATOR": "cuda"}


def command(folder):
    return [sys.executable, "-m", "training", "tiny", *keys(folder)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of which one rank was killed, and which was then finished by the same command."""
    folder = tmp_path_factory.mktemp("ranks")
    rows(folder)
    with (folder / "killed.log").open("w") as log:
        process = subprocess.Popen(command(folder), stdout=log, stderr=log, env=LAUNCHED, start_new_session=True)
        while process.poll() is None and len(records.read(folder / "run" / "metrics.jsonl", 99)) < 18:
            time.sleep(0.02)
    os.kill(a_rank_of(process.pid), signal.SIGKILL)
    process.wait(timeout=60)
    assert process.returncode == 1
    (folder / "killed_at.json").write_text(json.dumps(len(records.read(folder / "run" / "metrics.jsonl", 99))))
    done = subprocess.run(command(folder), capture_output=True, text=True, env=LAUNCHED, timeout=280, check=False)
    (folder / "resumed.log").write_text(done.stderr)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def test_ctrl_c_ends_the_run_at_once_with_one_line_and_leaves_nothing_behind(tmp_path):
    rows(tmp_path)
    environment = LAUNCHED | {"TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    endless = [*command(tmp_path), "max_steps=100000"]
    with subprocess.Popen(endless, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True) as process:
        while process.poll() is None and len(records.read(tmp_path / "run" / "metrics.jsonl", 99)) < 3:
            time.sleep(0.05)
        begun = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=100)[1].splitlines()
    # torch's launcher kills after 30 seconds what does not end by itself.
    assert process.returncode == 130 and time.monotonic() - begun < 25
    assert [line for line in said if "Traceback" in line or "signal" in line] == []
    assert said[-1].startswith("training: The run was stopped. The same command goes on")
    # torch's compiler keeps a cache there, which is the user's and not the run's.
    assert [path.name for path in (tmp_path / "tmp").iterdir() if not path.name.startswith("torchinductor")] == []


def a_rank_of(launcher):
    """The process of one rank."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    return max(int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes())


@pytest.fixture(scope="module")
def whole(folder):
    return stage(folder, "whole", 2)


@pytest.fixture(scope="module")
def single(folder, whole):
    return stage(folder, "single", 1)


def stage(folder, name, ranks, *more, timeout=280):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    asked = [*launcher, RANKS, folder, name, str(ranks), *keys(folder), *more]
    done = subprocess.run(asked, capture_output=True, text=True, env=ENVIRONMENT, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / f"{name}.json").read_text())


def test_a_killed_run_goes_on_from_its_newest_checkpoint_and_its_curve_is_the_uninterrupted_one(folder, whole):
    killed_at = json.loads((folder / "killed_at.json").read_text())
    assert 18 <= killed_at < 48
    assert "resumed at step" in (folder / "resumed.log").read_text()
    losses = [one.loss for one in records.read(folder / "run" / "metrics.jsonl", 99)]
    assert losses == whole["losses"]


def test_ranks_with_other_keys_are_refused(whole):
    assert "Rank 1 is of another run than rank 0: the keys seed are not the same." in whole["strangers"]


def test_a_rank_that_dies_is_one_clear_line(folder):
    log = (folder / "killed.log").read_text()
    last = log.splitlines()[-1]
    assert "Traceback" not in log and "Error" not in log
    assert (
        last.startswith("training: Rank ")
        and "died" in last
        and "killed from outside" in last
        and "Run the same command again" in last
    )


def test_the_report_has_its_numbers_and_its_plot(folder):
    report = json.loads((folder / "run" / "report.json").read_text())
    assert report["world_size"] == 2 and report["steps"] == 48 and report["skipped_steps"] == 0
    assert report["eval_loss_last"] < 0.5 * report["eval_loss_first"]
    assert 0 < report["trained_token_share"] < 1 and report["tokens_per_second"] > 0
    assert report["planned_gib_per_rank"] > 0 and 0.1 < report["memory_gib_per_rank"] < 3 and report["mfu"] is None
    assert report["samples"] and all(0 < one["tokens"] <= 64 for one in report["samples"])
    page = (folder / "run" / "report.md").read_text()
    assert "eval loss, first → last" in page and "layers = 2" in page and "## What it answers" in page
    last = (folder / "resumed.log").read_text().splitlines()[-3:]
    assert last[0].startswith("done: eval loss ") and "assistant ask -m " in last[1] and "assistant models add " in last[2]


def test_each_rank_holds_half_of_every_tensor_and_none_whole(whole):
    for name, (full, part, visible) in whole["partitions"].items():
        assert part == -(-full // 2) and visible == 0, name


def test_resuming_is_exact_to_the_last_bit(whole):
    assert whole["resumed_at"] == 32
    assert whole["resumed"]["losses"] == whole["losses"][32:]
    assert whole["resumed"]["evals"] == whole["evals"][2:]
    assert whole["same_weights"]


def test_what_is_offloaded_takes_up_the_run_and_follows_its_curve(whole):
    for done, losses in whole["offloaded"].values():
        assert done == 32 and losses == pytest.approx(whole["losses"][32:], rel=1e-5)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_resuming_is_exact_wherever_the_run_was_cut(folder, whole):
    steps = random.Random(SEED).sample(range(1, 48), rounds(20))
    (folder / "cuts").write_text(" ".join(map(str, steps)))
    found = stage(folder, "cuts", 2, "save_every=1", "keep=99", timeout=3600)
    assert found == {str(step): True for step in steps}


def test_one_rank_and_two_give_the_same_curve(whole, single):
    assert single["losses"][:8] == pytest.approx(whole["losses"][:8], rel=2e-6)
    # Sums in another order differ in their last digits, which grow where the curve is steep, and shrink again at its end.
    assert single["losses"] == pytest.approx(whole["losses"], abs=1e-4, rel=5e-3)


def test_a_checkpoint_of_two_ranks_is_taken_up_by_one(whole, single):
    assert single["resumed_at"] == 32
    assert single["resumed"]["losses"] == pytest.approx(whole["losses"][32:], abs=1e-4, rel=1e-3)


def test_a_full_disk_on_one_rank_costs_that_checkpoint_and_nothing_else(whole):
    disk = whole["disk"]
    assert "could not be written" in disk["problem"] and disk["left"] == ["step-00000001"]
    assert disk["again"] and disk["newest"] == 3


def test_not_a_number_changes_nothing_and_ends_with_the_rows_named(whole):
    bad = whole["bad"]
    assert bad["same_weights"] and bad["checkpoints"] == 0
    assert len(bad["warnings"]) == 3 and "rows.jsonl line" in bad["message"]


def test_an_adapter_trains_over_a_grown_embedding_and_is_merged(folder, whole):
    adapter = whole["adapter"]
    words = Vocabulary(vocabulary.load(folder / "lora" / "tokenizer"))
    assert adapter["rows"] == vocabulary.rows(words) > 0 and words.control_id("<|im_end|>") is not None
    assert adapter["frozen"] > 0 and adapter["losses"][-1] < adapter["losses"][0]
    assert adapter["difference"] < 0.5  # of bfloat16 logits
    assert (folder / "lora" / "model" / "model.safetensors").is_file()


def test_the_exported_model_talks_and_stops_by_itself(folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder / "run" / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder / "run" / "model")
    words = Vocabulary(vocabulary.load(folder / "run" / "model"))
    end, text_end = words.control_id("<|end|>"), words.control_id("<|endoftext|>")
    assert model.config.eos_token_id == model.generation_config.eos_token_id == [end, text_end]
    for question, _ in PAIRS:
        prompt = encode(STARCHAT, start(question), words)
        rendered = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=True
        )
        assert rendered["input_ids"] == list(prompt.ids)
        import torch

        written = model.generate(torch.tensor([prompt.ids]), max_new_tokens=20, do_sample=False)[0, len(prompt.ids) :].tolist()
        # Which of them it says takes longer to learn than how they are said and where they end.
        assert words.decode(written) in {f"\n{answer}<|end|>" for _, answer in PAIRS}


def test_the_export_is_complete_and_names_its_licences(folder):
    model = folder / "run" / "model"
    card = (model / "README.md").read_text()
    assert "- MIT: " in card and "data: rows.jsonl" in card and str(folder) not in card
    assert str(folder) not in (model / "config.json").read_text() + (model / "tokenizer_config.json").read_text()
    assert not list(model.glob("*.bin")) and (model / "chat_template.jinja").is_file()
    report = json.loads((folder / "run" / "report.json").read_text())
    assert report["model"]["difference"] < 1e-3


def test_a_checkpoint_of_another_model_other_data_or_other_keys_is_refused(single):
    for message, said in zip(single["refused"], ("another model", "other data", "other keys"), strict=True):
        assert said in message and "another output folder" in message


@pytest.mark.soak
def test_a_dry_run_reaches_the_end_and_begins_anew_each_time(tmp_path):
    rows(tmp_path)
    dry = tmp_path / "run-dry-run"
    for rate in ("0.01", "0.02"):
        asked = [*command(tmp_path), f"learning_rate={rate}", "--dry-run"]
        done = subprocess.run(asked, capture_output=True, text=True, env=ENVIRONMENT, timeout=280, check=False)
        assert done.returncode == 0 and "The whole road is open." in done.stderr, done.stderr[-3000:]
        assert json.loads((dry / "report.json").read_text())["steps"] == 2
        assert (dry / "model" / "model.safetensors").is_file() and not (dry / "checkpoints").exists()
    assert not (tmp_path / "run").exists()


@pytest.mark.soak
def test_an_upload_that_fails_costs_neither_model_nor_report(tmp_path):
    rows(tmp_path)
    nobody = ENVIRONMENT | {"HF_TOKEN": "none", "HF_ENDPOINT": "http://127.0.0.1:9"}
    asked = [*command(tmp_path), "max_steps=2", "push=nobody/nothing"]
    done = subprocess.run(asked, capture_output=True, text=True, env=nobody, timeout=280, check=False)
    assert done.returncode == 6 and "The upload to nobody/nothing failed" in done.stderr and "Traceback" not in done.stderr
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file() and (tmp_path / "run" / "report.md").is_file()


@pytest.mark.soak
def test_ten_kills_at_random_points_leave_the_uninterrupted_curve(folder, whole, tmp_path):
    random_ = random.Random(SEED)
    shutil.copy(folder / "rows.jsonl", tmp_path / "rows.jsonl")
    for _ in range(10):
        with subprocess.Popen(command(tmp_path), stderr=subprocess.DEVNULL, env=ENVIRONMENT, start_new_session=True) as process:
            begun = len(records.read(tmp_path / "run" / "metrics.jsonl", 99))
            wanted = begun + random_.randint(0, 6)
            while process.poll() is None and len(records.read(tmp_path / "run" / "metrics.jsonl", 99)) < min(wanted, 47):
                time.sleep(0.01)
            time.sleep(random_.uniform(0, 0.3))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        time.sleep(1.5)
    done = subprocess.run(command(tmp_path), capture_output=True, text=True, env=ENVIRONMENT, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert [one.loss for one in records.read(tmp_path / "run" / "metrics.jsonl", 99)] == whole["losses"]
