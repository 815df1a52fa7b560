"""Rows to dialogues: every form, every fault named by line, no tree on both sides."""

import gzip
import json
from collections import Counter

import pytest

from assistant.commands import command
from assistant.errors import InputError
from training import config, dataset, sources, trees

GOOD = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}], "license": "MIT"}


def recipe(path, **keys):
    return config.load("tiny", [f"data={path}", *(f"{key}={value}" for key, value in keys.items())])


def write(path, rows):
    data = b"".join(row if isinstance(row, bytes) else json.dumps(row).encode() + b"\n" for row in rows)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def turns(*roles):
    return {"messages": [{"role": role, "content": f"{role} {number}"} for number, role in enumerate(roles)]}


BAD = [
    (b'{"messages": [\n', "not JSON"),
    (b'\xff\xfe{"messages": []}\n', "not UTF-8"),
    ([1, 2], "not an object"),
    ({"text": "hello"}, "columns are text"),
    ({"messages": "hello"}, "not a list"),
    ({"messages": []}, "at least one message"),
    ({"prompt": "x", "completion": None}, "column completion is empty"),
    ({"prompt": {"text": "x", "role": "prompter", "replies": 5}}, "replies of a message are a int"),
    ({"prompt": {"text": "x", "role": "prompter", "replies": [7]}}, "message of the tree is a int"),
    (turns("user", "user"), "turn 2 is the user's"),
    (turns("assistant", "user"), "turn 1 is the assistant's"),
    (turns("user"), "no assistant turn"),
    (turns("system"), "no assistant turn"),
    (turns("user", "assistant", "system"), "system message"),
    ({"messages": [{"role": "user", "content": " "}, {"role": "assistant", "content": "x"}]}, "turn 1 is empty"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "'robot'"),
    ({"prompt": {"text": "x", "role": "narrator"}}, "'narrator'"),
    ({"messages": [{"role": "user", "content": "\ud800"}, {"role": "assistant", "content": "x"}]}, "surrogate"),
]


@pytest.mark.parametrize(("row", "reason"), BAD, ids=[reason for _, reason in BAD])
def test_exactly_the_bad_row_is_rejected_with_its_line(tmp_path, row, reason):
    path = write(tmp_path / "rows.jsonl", [GOOD] * 150 + [row] + [GOOD] * 50)
    corpus = dataset.load(recipe(path), tmp_path / "rejects.jsonl")
    (reject,) = corpus.rejects
    assert reject.line == 151 and reason in reject.reason
    assert json.loads((tmp_path / "rejects.jsonl").read_text())["line"] == 151
    assert len(corpus.train) + len(corpus.test) == 200


def test_more_than_one_bad_row_in_a_hundred_stops_and_names_the_first(tmp_path):
    path = write(tmp_path / "rows.jsonl", [GOOD] * 100 + [{"text": "x"}] * 2)
    with pytest.raises(InputError, match=r"line 101, 102: no `messages`"):
        dataset.load(recipe(path), tmp_path / "rejects.jsonl")
    assert len((tmp_path / "rejects.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("rows", [[], [b"\n"]])
def test_a_data_set_without_rows_is_refused(tmp_path, rows):
    with pytest.raises(InputError, match=r"no row to train on in .*rows\.jsonl"):
        dataset.load(recipe(write(tmp_path / "rows.jsonl", rows)))


def test_a_folder_without_train_files_and_filters_that_leave_nothing_say_so(tmp_path):
    with pytest.raises(InputError, match="holds no train"):
        dataset.load(recipe(tmp_path))
    path = write(tmp_path / "rows.jsonl", [GOOD])
    with pytest.raises(InputError, match=r"of 1 rows .* Change code_only"):
        dataset.load(recipe(path, code_only="true"))


def test_splits_of_the_hub_are_found_under_their_usual_names():
    chat = ["train_gen", "train_sft", "test_gen", "test_sft"]
    assert (sources.split_of(chat, "train"), sources.split_of(chat, "test")) == ("train_sft", "test_sft")
    assert sources.split_of(["train", "train_sft", "validation"], "train") == "train"
    assert sources.split_of(["train_ift", "validation"], "test") == "validation"
    assert sources.split_of(["all"], "train") is None


def test_a_missing_or_cut_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        dataset.load(recipe(tmp_path / "none.jsonl"))
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(json.dumps(GOOD).encode() * 1000)[:-20])
    with pytest.raises(InputError, match="cannot be read"):
        dataset.load(recipe(cut))


def test_damage_inside_a_compressed_file_is_refused(tmp_path):
    path = write(tmp_path / "rows.jsonl.gz", [GOOD] * 500 + [bytes(range(256)) * 40])
    raw = bytearray(path.read_bytes())
    raw[60] ^= 0xFF
    raw[61] ^= 0x55
    path.write_bytes(raw)
    with pytest.raises(InputError, match="cannot be read"):
        dataset.load(recipe(path))


def test_prompt_and_completion_become_a_dialogue(tmp_path):
    row = {"instruction": "Sort it.", "input": "3 1", "output": "1 3", "lang": "en"}
    (one,) = dataset.load(recipe(write(tmp_path / "rows.jsonl", [row]), eval_share=0)).train
    assert [turn.content for turn in one.conversation.turns] == ["Sort it.\n\n3 1", "1 3"]


def test_a_byte_order_mark_at_the_beginning_is_passed_over(tmp_path):
    path = write(tmp_path / "rows.jsonl", [b"\xef\xbb\xbf" + json.dumps(GOOD).encode()])
    assert len(dataset.load(recipe(path, eval_share=0)).train) == 1


def test_a_final_user_turn_is_left_off(tmp_path):
    path = write(tmp_path / "rows.jsonl", [turns("system", "user", "assistant", "user")])
    (one,) = dataset.load(recipe(path, eval_share=0)).train
    assert [turn.role for turn in one.conversation.messages] == ["system", "user", "assistant"]


def node(role, text, *replies, **more):
    return {"role": role, "text": text, "replies": list(replies), **more}


TREE = {
    "message_tree_id": "t1",
    "prompt": node(
        "prompter",
        "q",
        node("assistant", "a1", node("prompter", "q2", node("assistant", "a2")), node("prompter", "q3")),
        node("assistant", "a3"),
        node("assistant", "gone", deleted=True),
        lang="en",
    ),
}


def test_every_path_of_a_tree_is_a_dialogue_without_final_user_turns():
    found = {tuple(message["content"] for message in path) for path in trees.paths(TREE)}
    assert found == {("q", "a1", "q2", "a2"), ("q", "a3")}


def test_no_tree_is_on_both_sides_of_the_split(tmp_path):
    rows = [{**turns("user", "assistant", "user", "assistant"), "group": f"g{number % 40}"} for number in range(200)]
    corpus = dataset.load(recipe(write(tmp_path / "rows.jsonl", rows), eval_share=0.2))
    train, test = ({one.tree for one in part} for part in (corpus.train, corpus.test))
    assert train and test and not train & test


def test_untagged_paths_of_one_tree_are_told_by_their_first_question(tmp_path):
    rows = [
        {"messages": [{"role": "user", "content": f"q{number % 30}"}, {"role": "assistant", "content": f"a{number}"}]}
        for number in range(300)
    ]
    corpus = dataset.load(recipe(write(tmp_path / "rows.jsonl", rows), eval_share=0.2))
    train, test = ({one.conversation.turns[0].content for one in part} for part in (corpus.train, corpus.test))
    assert train and test and not train & test


def test_a_test_file_takes_its_trees_away_from_training(tmp_path):
    write(tmp_path / "train.jsonl", [{**GOOD, "group": "a"}, {**GOOD, "group": "b"}])
    write(tmp_path / "test.jsonl.gz", [{**GOOD, "group": "b"}])
    corpus = dataset.load(recipe(tmp_path))
    assert [one.tree for one in corpus.train] == ["a"] and [one.tree for one in corpus.test] == ["b"]


def test_rows_that_state_no_licence_have_that_of_their_folders_card(tmp_path):
    plain = {"messages": GOOD["messages"], "group": "p"}
    write(tmp_path / "train.jsonl", [GOOD, plain])
    assert dict(dataset.load(recipe(tmp_path, eval_share=0)).licences) == {"MIT": 1, "unknown": 1}
    (tmp_path / "README.md").write_text("---\nlicense:\n- cc-by-4.0\n---\n")
    assert dict(dataset.load(recipe(tmp_path, eval_share=0)).licences) == {"MIT": 1, "cc-by-4.0": 1}


def test_dialogues_have_the_licence_of_the_folder_that_they_are_read_from(tmp_path, monkeypatch):
    for name, licence in (("real", "cc-by-4.0"), ("dialogues", "mit")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "README.md").write_text(f"---\nlicense: {licence}\n---\n")
    write(tmp_path / "real" / "train.jsonl", [{"messages": GOOD["messages"]}])
    monkeypatch.setenv("STARCHAT_DATA", str(tmp_path / "real"))
    monkeypatch.chdir(tmp_path)  # where a folder of the source's name lies
    assert dict(dataset.load(recipe("dialogues", eval_share=0)).licences) == {"cc-by-4.0": 1}


def test_names_that_are_no_text_can_be_written_down(tmp_path):
    tree = {"message_tree_id": "\udfff", "prompt": node("prompter", "a", node("assistant", "b"))}
    path = write(tmp_path / "rows.jsonl", [{**GOOD, "license": "\ud800", "group": "\ud800"}, tree])
    corpus = dataset.load(recipe(path, eval_share=0))
    assert dict(corpus.licences) == {"?": 1, "unknown": 1} and {one.tree for one in corpus.train} == {"?"}


def test_sources_are_mixed_by_weight_and_filtered(tmp_path):
    code = {"prompt": "x", "completion": "```python\npass\n```", "lang": "de"}
    first = write(tmp_path / "a.jsonl", [{**GOOD, "lang": "en"}] * 10)
    second = write(tmp_path / "b.jsonl", [code] * 10)
    mixed = dataset.load(recipe(f"{first},{second}", weights="2,0.5", eval_share=0)).train
    assert sum(one.source == str(first) for one in mixed) == 20 and len(mixed) == 25
    assert len(dataset.load(recipe(f"{first},{second}", code_only="true", eval_share=0)).train) == 10
    assert len(dataset.load(recipe(f"{first},{second}", languages="en", eval_share=0)).train) == 10


def test_made_dialogues_serve_where_no_data_is_named(monkeypatch):
    monkeypatch.delenv("STARCHAT_DATA", raising=False)
    corpus = dataset.load(config.load("tiny"))
    assert len(corpus.train) == 6000 and len(corpus.test) == 40 and "made by the recipe" in corpus.notes[0]
    assert set(corpus.licences) == {"Apache-2.0"}


def test_starchat_data_names_the_folder(monkeypatch, tmp_path):
    (tmp_path / "dialogues").mkdir()
    write(tmp_path / "dialogues" / "train.jsonl.gz", [GOOD])
    monkeypatch.setenv("STARCHAT_DATA", str(tmp_path))
    assert len(dataset.load(config.load("tiny", ["eval_share=0", "data=dialogues"])).train) == 1
    mixed = dataset.load(config.load("tiny", ["eval_share=0"]))
    assert Counter(one.source == "made" for one in mixed.train) == {True: 3000, False: 1} and not mixed.test
    monkeypatch.setenv("STARCHAT_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="STARCHAT_DATA"):
        dataset.load(config.load("tiny"))


def test_the_assistants_system_text_is_given_to_dialogues_without_one(tmp_path):
    own = {"messages": [{"role": "system", "content": "Be terse."}, *GOOD["messages"]]}
    path = write(tmp_path / "a.jsonl", [GOOD, own])
    given = dataset.load(recipe(path, system="assistant", eval_share=0)).train
    assert [one.conversation.system for one in given] == [command("ask").prompt("system"), "Be terse."]
    assert [one.conversation.system for one in dataset.load(recipe(path, system="own", eval_share=0)).train] == [
        "",
        "Be terse.",
    ]
