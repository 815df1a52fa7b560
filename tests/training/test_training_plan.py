"""Plans of every recipe on the meta device, and the command line around them."""

import json
import random
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from assistant.errors import UsageError
from training import config, dataset, inspection, launch, plan, vocabulary, worker
from training.cli import dry, main
from training.encoding import Vocabulary
from training.machine import describe
from training.schedule import learning_rate
from training.schedule import plan as course


@pytest.mark.parametrize("name", config.names())
def test_every_recipe_has_a_plan_with_all_its_numbers(name, capsys):
    machine = "cpu:2" if name == "tiny" else "8xA100-80GB"
    assert main([name, "--plan", "--json", f"gpus={machine}"]) == 0
    made = json.loads(capsys.readouterr().out)
    for key in ("gpu_gib_per_rank", "host_gib", "checkpoint_gib", "steps", "minutes"):
        assert made[key] > 0, key
    assert made["fits"] and made["ranks"] == (2 if name == "tiny" else 8)


def test_the_plan_of_starchat_alpha_agrees_with_what_is_published():
    made = plan.make(config.load("starchat-alpha", ["gpus=8xA100-80GB"]))
    assert made.parameters - 15_517_456_384 == 64 * 6144
    states = made.parts["weights"] + made.parts["gradients"] + made.parts["optimiser"]
    assert 28.9 <= states <= 34
    assert 190 <= made.steps <= 205
    assert 28 <= made.minutes <= 51
    assert made.checkpoint_gib == pytest.approx(12 * made.parameters / 2**30)


def test_the_page_of_plans_says_what_its_script_says_today():
    docs = Path(__file__).parents[2] / "docs"
    script = runpy.run_path(str(docs / "training_plans.py"))
    assert (docs / "training-plans.md").read_text(encoding="utf-8") == script["page"]()
    one = plan.make(config.load("starchat-alpha", ["gpus=8xA100-80GB"]))
    other = plan.make(config.load("starchat-alpha", ["gpus=8xH100-80GB"]))
    assert round(script["seconds_at"](0.595, one) / 60) == 28 and round(script["seconds_at"](0.44, other) / 60) == 12
    assert 0.31 < script["seconds_at"](1, one) / 3089 < 0.33


@pytest.mark.parametrize(
    ("gpus", "wanted"),
    [
        ("8xA100-40GB", "micro_batch=2"),
        ("2xA100-80GB", "offload=optimizer"),
        ("4xA100-40GB", "offload=optimizer"),
        ("1xL4", "offload=all"),
    ],
)
def test_what_does_not_fit_says_which_keys_make_it_fit(gpus, wanted):
    made = plan.make(config.load("starchat-alpha", [f"gpus={gpus}"]))
    assert not made.fits and "It fits with" in made.problems[0]
    keys = made.problems[0].split("It fits with ")[1].split(",")[0].rstrip(".")
    assert keys == wanted
    assert plan.make(config.load("starchat-alpha", [f"gpus={gpus}", *keys.split()])).fits


def test_no_advice_contradicts_the_recipe():
    made = plan.make(config.load("starchat-qlora", ["gpus=1xL4", "block=8192"]))
    assert not made.fits and "offload" not in made.problems[0]
    (problem,) = plan.make(
        config.load("starchat-alpha", ["gpus=8xA100-80GB", "global_batch=96", "micro_batch=12", "block=8192"])
    ).problems
    keys = problem.split("It fits with ")[1].split(",")[0].rstrip(".").split()
    config.load("starchat-alpha", ["gpus=8xA100-80GB", "global_batch=96", "micro_batch=12", "block=8192", *keys])


def test_hopeless_machines_are_told_so(capsys):
    assert main(["starchat-alpha", "--plan", "gpus=1xL4"]) == 0
    assert "! A rank needs" in capsys.readouterr().out


def test_without_arguments_it_explains_itself_and_plans_for_this_machine():
    done = subprocess.run([sys.executable, "-m", "training"], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    for word in ("key=value", "starchat-qlora", "inspect", "memory of a rank"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "starchat-alpha"),
        (["tiny", "--paln"], "--plan"),
        (["tiny", "blok=1"], "block"),
        (["inspect"], "recipe"),
        (["inspect", "tiny", "--rows", "x"], "whole number"),
        (["tiny", "gpus=8xA100-80GB"], "--plan"),
        (["tiny", "global_batch=7", "micro_batch=7"], "ranks"),
        (["tiny", "deepspeed=nowhere.json"], "nowhere.json"),
        (["tiny", "gpus=cpu:0"], "cpu:0"),
        (["tiny", "max_steps=-1"], "max_steps"),
        (["tiny", "lr=1"], "learning_rate"),
        (["tiny", "epochs=inf"], "epochs"),
        (["tiny", "seed=-1"], "seed"),
        (["tiny", "heads=-2"], "heads"),
        (["tiny", "gpus=auto", "attention=flash_attention_2"], "attention=sdpa"),
        (["tiny", "--json"], "--plan"),
        (["tiny", "--rows", "3"], "--rows"),
        (["tiny", "--plan", "--dry-run"], "exclude"),
        (["tiny", "--seed=3"], "key=value"),
        (["inspect", "tiny", "--rows", "0"], "at least 1"),
        (["keys", "blok"], "blok"),
        (["--plan"], "without a recipe"),
    ],
)
def test_mistakes_are_one_clear_line(arguments, said, capsys, tmp_path):
    assert main([*arguments, *([f"output={tmp_path}"] if arguments[0] == "tiny" else [])]) != 0
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "data").exists()


def test_a_question_for_help_starts_no_run(capsys, tmp_path):
    for flag in ("--help", "-h"):
        assert main(["tiny", f"output={tmp_path / 'run'}", flag]) == 0
        assert "starchat-qlora" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_no_recipe_uploads_anything_unasked():
    assert [config.load(name).push for name in config.names()] == [""] * len(config.names())


def test_an_output_folder_in_use_is_refused(tmp_path, capsys):
    with FileLock(tmp_path / ".lock"):
        assert main(["tiny", f"output={tmp_path}"]) == 7
    assert "in use" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["tiny", f"output={tmp_path / 'file' / 'inside'}"]) == 7
    assert "cannot be used" in capsys.readouterr().err


def test_a_hostfile_names_the_machines_and_where_they_meet(tmp_path):
    (tmp_path / "hosts").write_text("# ours\nnode-a slots=8\nnode-b slots=8\n")
    found = launch.with_hostfile(config.load("starchat-alpha", [f"hostfile={tmp_path / 'hosts'}"]))
    assert found.nodes == 2 and found.rendezvous == "node-a:29500"
    with pytest.raises(UsageError, match="cannot be read"):
        launch.with_hostfile(config.load("starchat-alpha", ["hostfile=nowhere"]))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="binary cannot be read"):
        launch.with_hostfile(config.load("starchat-alpha", [f"hostfile={tmp_path / 'binary'}"]))


def test_inspect_shows_text_ids_and_what_is_trained(capsys, monkeypatch):
    monkeypatch.delenv("STARCHAT_DATA", raising=False)
    assert main(["inspect", "tiny", "vocab=400", "--rows", "1"]) == 0
    out = capsys.readouterr().out
    assert "<|assistant|>" in out and "trained" in out and "made line " in out


def test_the_same_characters_are_marked_as_control_only_where_they_are_one():
    tokenizer = vocabulary.obtain(config.load("tiny", ["vocab=300"]), dataset.Corpus((), (), (), ()))
    words = Vocabulary(tokenizer)
    end = words.control_id("<|end|>")
    ids = [*words.encode("<|end|>"), end]
    shown = inspection.coloured(ids, [True] * len(ids), words, {end})
    assert shown.plain == "<|end|><|end|>" and [span.style for span in shown.spans] == ["bold green", "bold green underline"]


def test_keys_are_listed_with_their_meaning(capsys):
    assert main(["keys"]) == 0
    assert "micro_batch (a whole number)" in capsys.readouterr().out
    assert main(["keys", "clip"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "clip (a number)"


def test_inspect_shows_hostile_rows_as_they_are(capsys, tmp_path):
    messages = [{"role": "user", "content": "[bold]a"}, {"role": "assistant", "content": "\x1b[2J :smile: [/x]"}]
    (tmp_path / "rows.jsonl").write_text(json.dumps({"messages": messages, "group": "[/b]\x1b]0;t", "license": "[red]MIT"}))
    assert main(["inspect", "tiny", f"data={tmp_path / 'rows.jsonl'}", "vocab=300"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "[2J :smile: [/x]" in out and "[bold]a" in out and "licence [red]MIT" in out


def test_a_base_that_the_finished_model_would_replace_is_refused(capsys, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    keys = ["layers=0", "width=0", "heads=0", "vocab=0", f"base={tmp_path / 'model'}", f"output={tmp_path}"]
    assert main(["tiny", *keys]) == 2
    assert "would replace its base" in capsys.readouterr().err


def test_the_name_that_is_offered_for_a_model_is_one_that_can_be_given():
    assert [launch.spare_name(name) for name in ("tiny", "starchat-alpha", "StarChat2", "My run!", "…")] == [
        *("tiny", "my-starchat-alpha", "my-starchat2", "my-run", "model")
    ]


def test_full_memory_says_whose_it_is():
    ranks = worker.Job(config.load("tiny"), describe("8xA100-80GB"), (), {}, 20.0)
    host = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 3145728 bytes.")
    assert str(worker._full(ranks, host)).startswith(
        "The memory of the host is full: 3.0 MiB more were not to be had. `--plan`"
    )
    said = str(worker._full(ranks, torch.OutOfMemoryError("CUDA out of memory.")))
    assert said.startswith("The memory of the GPU is full: CUDA out of memory. By the plan, a rank takes 20.0 GiB.")
    assert "takes 20.0 GiB" in str(worker._full(replace(ranks, machine=describe("cpu:2")), host))


def test_a_dry_run_is_two_steps_elsewhere():
    assert dry(config.load("tiny", ["output=."])).folder == Path.cwd().with_name(f"{Path.cwd().name}-dry-run")
    recipe = dry(config.load("starchat-alpha", ["push=a/b"]))
    assert recipe.max_steps == 2 and recipe.push == "" and str(recipe.folder) == "runs/starchat-alpha-dry-run"


def test_no_block_is_dropped_and_all_ranks_take_equally_many_micro_batches():
    recipe = config.load("tiny", ["epochs=2", "global_batch=8", "micro_batch=2"])
    schedule = course(recipe, 13)
    assert schedule.steps == 4
    for ranks in (1, 2, 4):
        seen = []
        for step in range(schedule.steps):
            parts = [schedule.of_rank(step, rank, ranks, 2) for rank in range(ranks)]
            assert {len(part) for part in parts} == {8 // (2 * ranks)}
            together = sorted(block for part in parts for micro in part for block in micro)
            assert together == sorted(schedule.at(step))
            seen += together
        assert sorted(seen) == sorted([*range(13)] * 2)


def test_ranks_that_compute_together_get_about_as_much_work():
    generator = random.Random(5)
    schedule = course(config.load("tiny", ["global_batch=16", "micro_batch=4", "epochs=1"]), 160)
    work = [generator.uniform(1, 4) for _ in range(160)]

    def waited(*by):
        parts = [zip(*(schedule.of_rank(step, rank, 2, 4, *by) for rank in range(2)), strict=True) for step in range(10)]
        sums = [[sum(work[block] for block in blocks) for blocks in at_once] for part in parts for at_once in part]
        return sum(1 - min(pair) / max(pair) for pair in sums) / len(sums)

    assert waited(work.__getitem__) < 0.03 < 0.1 < waited()


def test_the_learning_rate_warms_up_and_follows_half_a_cosine():
    recipe = config.load("starchat-alpha")
    rates = [learning_rate(recipe, step, 195) for step in range(195)]
    assert max(rates) == rates[5] == pytest.approx(2e-5) and rates[0] == pytest.approx(2e-5 / 6)
    assert rates[100] == pytest.approx(1e-5, rel=0.01) and rates[-1] < 1e-8


def test_the_page_about_training_names_every_recipe():
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in page for name in config.names())
