"""Recipes: strict keys and types, contradictions refused, one source of truth."""

import json
from dataclasses import fields

import pytest

from assistant.errors import UsageError
from training import config
from training.machine import describe
from training.zero_config import accumulation, zero_config


@pytest.mark.parametrize("name", config.names())
def test_every_recipe_loads_and_every_key_is_documented(name):
    recipe = config.load(name)
    assert recipe.name == name and recipe.about
    assert set(config.describe()) == {field.name for field in fields(config.Recipe)}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("blok=3", "block"),
        ("block=x", "whole number"),
        ("block=1.5", "whole number"),
        ("checkpointing=0", "true or false"),
        ("adapter=lorra", "lora"),
        ("epochs=0", "max_steps"),
        ("global_batch=5", "micro_batch"),
        ("weights=1,2,3", "source"),
        ("layers=3", "exclude"),
        ("warmup=1", "below 1"),
        ("weights=nan", "A weight"),
        ("weights=inf", "A weight"),
        ("weights=-1", "A weight"),
        ("epochs=1e308", "max_steps"),
        ("weight_decay=inf", "weight_decay"),
        ("learning_rate=nan", "learning_rate"),
        ("nodes=2", "rendezvous"),
        ("gpus=cpu attention=flash_attention_2", "GPU"),
        ("adapter=qlora offload=optimizer", "qlora"),
        ("base= adapter=lora", "layers"),
        ("dry", "key=value"),
    ],
)
def test_wrong_overrides_are_refused_by_name(override, said):
    with pytest.raises(UsageError) as caught:
        config.load("starchat-alpha", override.split())
    assert said in str(caught.value)


def test_false_is_false():
    assert config.load("starchat-alpha", ["checkpointing=False"]).checkpointing is False


def test_the_batch_in_the_deepspeed_configuration_is_the_recipes():
    recipe = config.load("starchat-alpha", ["micro_batch=8"])
    made = zero_config(recipe, 8, cpu=False)
    assert made["train_micro_batch_size_per_gpu"] * made["gradient_accumulation_steps"] * 8 == recipe.global_batch
    assert "scheduler" not in made and made["zero_optimization"]["stage"] == 3


def test_a_batch_that_does_not_divide_is_refused_with_one_that_does():
    with pytest.raises(UsageError, match="micro_batch=1"):
        accumulation(config.load("starchat-alpha", ["global_batch=96", "micro_batch=32"]), 96)


@pytest.mark.parametrize(
    "contradiction",
    [
        {"train_batch_size": 64},
        {"scheduler": {"type": "WarmupLR"}},
        {"zero_optimization": {"stage": 2}},
        {"zero_optimization": {"offload_optimizer": {"device": "cpu"}}},
        {"bf16": {"enabled": False}},
    ],
)
def test_a_deepspeed_file_that_contradicts_the_recipe_is_refused(tmp_path, contradiction):
    (tmp_path / "ds.json").write_text(json.dumps(contradiction))
    with pytest.raises(UsageError, match=next(iter(contradiction))):
        zero_config(config.load("starchat-alpha", [f"deepspeed={tmp_path / 'ds.json'}"]), 8, cpu=False)


def test_a_deepspeed_file_may_tune_what_the_recipe_leaves_open(tmp_path):
    tuning = {"zero_optimization": {"stage": "auto", "stage3_max_live_parameters": 7}, "prescale_gradients": True}
    (tmp_path / "ds.json").write_text(json.dumps(tuning))
    made = zero_config(config.load("starchat-alpha", [f"deepspeed={tmp_path / 'ds.json'}"]), 8, cpu=False)
    assert made["zero_optimization"]["stage"] == 3
    assert made["zero_optimization"]["stage3_max_live_parameters"] == 7 and made["prescale_gradients"]


def test_other_data_come_without_the_weights_of_the_recipes_own():
    assert config.load("tiny").weights and not config.load("tiny", ["data=other.jsonl"]).weights
    assert config.load("tiny", ["weights=2,3", "data=a.jsonl,b.jsonl"]).weights == (2, 3)


def test_the_sentence_of_a_recipe_is_not_said_of_another_base_data_or_adapter():
    assert config.load("starchat-alpha", ["seed=1"]).about
    for key in ("base=a/b", "data=other.jsonl", "adapter=lora"):
        assert config.load("starchat-alpha", [key]).about == ""


def test_machines_are_found_by_name():
    machine = describe("8xA100-80GB")
    assert (machine.count, machine.memory_gib) == (8, 80)
    assert describe("cpu:2").is_cpu
    for wrong in ("8xZ9", "many", "0xH100"):
        with pytest.raises(UsageError):
            describe(wrong)
