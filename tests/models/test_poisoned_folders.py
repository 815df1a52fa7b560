"""Promise 18: model files cannot run code.  Each kind of poison once, with a marker that proves that nothing ran."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistant.errors import ModelError
from assistant.models.gguf import check_gguf
from assistant.models.safety import check_file, check_folder
from assistant.models.tensors import check_safetensors

CONFIG = {"model_type": "gpt_bigcode", "architectures": ["GPTBigCodeForCausalLM"]}


def safetensors(header=None, data=bytes(24)):
    header = header or {"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}, "b": _row("BF16", [4], 16, 24)}
    packed = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(packed).to_bytes(8, "little") + packed + data


def _row(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def gguf(tensors=1, data=64):
    def text(value):
        return struct.pack("<Q", len(value)) + value

    pairs = text(b"general.name") + struct.pack("<I", 8) + text(b"toy")
    pairs += text(b"words") + struct.pack("<IIQ", 9, 8, 2) + text(b"a") + text(b"bc")
    pairs += text(b"scores") + struct.pack("<IIQ", 9, 6, 3) + bytes(12)
    rows = b"".join(text(b"t%d" % n) + struct.pack("<IQIQ", 1, 16, 0, 64 * n) for n in range(tensors))
    head = b"GGUF" + struct.pack("<IQQ", 3, tensors, 3) + pairs + rows
    return head + bytes(-len(head) % 32) + bytes(data)


class Bomb:
    """Touches the marker when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.fixture
def folder(tmp_path):
    """A model folder as it should be."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG))
    (path / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": "{% for m in messages %}{{ m['content'] }}{% endfor %}"})
    )
    (path / "model.safetensors").write_bytes(safetensors())
    return path


def change(folder, name, **more):
    path = folder / name
    table = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**table, **more}))


def weights(folder, content):
    (folder / "model.safetensors").write_bytes(content)


def pickle_only(folder, marker):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(marker)))


def checkpoint_only(folder, marker):
    (folder / "model.safetensors").unlink()
    (folder / "model.ckpt").write_bytes(pickle.dumps(Bomb(marker)))


def pickle_in_disguise(folder, marker):
    weights(folder, pickle.dumps(Bomb(marker)))


def own_code(folder, marker):
    (folder / "modeling_evil.py").write_text(f"open({str(marker)!r}, 'w')")
    change(folder, "config.json", auto_map={"AutoModelForCausalLM": "modeling_evil.Model"})


def own_tokenizer_code(folder, marker):
    (folder / "tokenization_evil.py").write_text(f"open({str(marker)!r}, 'w')")
    change(folder, "tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_evil.Tokenizer", None]})


def foreign_kernel(folder, marker):
    change(folder, "config.json", attn_implementation="someone/evil-kernel")


def hidden_code(folder, marker):
    change(folder, "config.json", text_config={"auto_map": {"AutoConfig": "evil.Config"}})


def template_escape(folder, marker):
    change(folder, "tokenizer_config.json", chat_template="{{ ''.__class__.__mro__[1].__subclasses__() }}")


def template_file_escape(folder, marker):
    (folder / "chat_template.jinja").write_text("{{ cycler.__init__.__globals__.os.system('touch " + str(marker) + "') }}")


def link_to_secrets(folder, marker):
    (folder.parent / "secret.json").write_text("{}")
    (folder / "generation_config.json").symlink_to(folder.parent / "secret.json")


def link_chain_out(folder, marker):
    (folder.parent / "elsewhere.safetensors").write_bytes(safetensors())
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("../elsewhere.safetensors")


def dangling_link(folder, marker):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("nowhere")


def fifo(folder, marker):
    os.mkfifo(folder / "tokenizer.json")


def truncated(folder, marker):
    weights(folder, safetensors()[:-1])


def appended(folder, marker):
    weights(folder, safetensors() + b"PK\x03\x04")


def offset_overflow(folder, marker):
    weights(folder, safetensors({"a": _row("F32", [1 << 61], 0, 1 << 63)}))


def negative_offset(folder, marker):
    weights(folder, safetensors({"a": _row("F32", [2], -8, 0)}))


def overlapping(folder, marker):
    weights(folder, safetensors({"a": _row("F32", [4], 0, 16), "b": _row("F32", [4], 8, 24)}))


def header_longer_than_file(folder, marker):
    weights(folder, (1 << 62).to_bytes(8, "little") + b"{}")


def header_bomb(folder, marker):
    weights(folder, safetensors(b"[" * 100_000))


def number_bomb(folder, marker):
    weights(folder, safetensors(b'{"a": {"dtype": "F32", "shape": [' + b"9" * 10_000 + b'], "data_offsets": [0, 1]}}'))


def json_bomb(folder, marker):
    (folder / "config.json").write_text('{"a":' * 200_000)


def huge_json(folder, marker):
    with (folder / "tokenizer.json").open("wb") as stream:
        stream.truncate(1 << 36)


def not_text(folder, marker):
    (folder / "config.json").write_bytes(b"\xff\xfe\x00{")


def index_leads_out(folder, marker):
    change(folder, "model.safetensors.index.json", weight_map={"a": "../../etc/passwd"})


def index_of_missing_shard(folder, marker):
    change(folder, "model.safetensors.index.json", weight_map={"a": "model-00001-of-00002.safetensors"})


def adapter(folder, marker):
    change(folder, "adapter_config.json", base_model_name_or_path="someone/else")


def no_config(folder, marker):
    (folder / "config.json").unlink()


def config_is_a_list(folder, marker):
    (folder / "config.json").write_text("[]")


POISONS = (
    *(pickle_only, checkpoint_only, pickle_in_disguise, own_code, own_tokenizer_code, foreign_kernel, hidden_code),
    *(template_escape, template_file_escape, link_to_secrets, link_chain_out, dangling_link, fifo, truncated, appended),
    *(offset_overflow, negative_offset, overlapping, header_longer_than_file, header_bomb, number_bomb, json_bomb, huge_json),
    *(not_text, index_leads_out, index_of_missing_shard, adapter, no_config, config_is_a_list),
)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("poison", POISONS, ids=lambda poison: poison.__name__)
def test_a_poisoned_folder_is_refused_in_a_clear_line(folder, tmp_path, poison):
    marker = tmp_path / "marker"
    poison(folder, marker)
    with pytest.raises(ModelError) as caught:
        check_folder(folder)
    assert not marker.exists()
    assert "\n" not in caught.value.message
    assert caught.value.message.endswith(".")
    assert caught.value.remedy


def test_the_marker_can_be_touched_at_all(tmp_path):
    marker = tmp_path / "marker"
    pickle.loads(pickle.dumps(Bomb(marker)))
    assert marker.exists(), "otherwise the tests above prove nothing"


def test_a_clean_folder_passes(folder):
    check_folder(folder)


def test_leftover_pickles_and_scripts_beside_safetensors_do_no_harm(folder, tmp_path):
    (folder / "training_args.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "marker")))
    (folder / "handler.py").write_text("raise SystemExit")
    (folder / "runs").mkdir()
    check_folder(folder)
    assert not (tmp_path / "marker").exists()


def test_the_links_of_the_hubs_own_cache_pass_and_others_there_do_not(folder, tmp_path):
    repo = tmp_path / "models--a--b"
    snapshot, blobs = repo / "snapshots" / "abc", repo / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(blobs / str(number))
        (snapshot / path.name).symlink_to(f"../../blobs/{number}")
    check_folder(snapshot)
    (snapshot / "generation_config.json").symlink_to("../../../secret.json")
    (tmp_path / "secret.json").write_text("{}")
    with pytest.raises(ModelError, match="leads out"):
        check_folder(snapshot)


@pytest.mark.parametrize("cut", range(0, len(safetensors()), 7))
def test_safetensors_cut_anywhere_are_refused(tmp_path, cut):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(safetensors()[:cut])
    with pytest.raises(ModelError):
        check_safetensors(path)


def test_gguf_cut_anywhere_is_refused(tmp_path):
    whole = gguf()
    path = tmp_path / "toy.gguf"
    path.write_bytes(whole)
    check_file(path)
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(ModelError):
            check_gguf(path)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(gguf()) - 65), st.integers(0, 255), st.sampled_from(["gguf", "safetensors"]))
def test_a_flipped_byte_is_refused_or_harmless_but_never_another_error(tmp_path, where, value, kind):
    content = bytearray(gguf() if kind == "gguf" else safetensors())
    content[where % len(content)] = value
    path = tmp_path / f"toy.{kind}"
    path.write_bytes(content)
    try:
        (check_gguf if kind == "gguf" else check_safetensors)(path)
    except ModelError as error:
        assert error.remedy


def test_a_pickle_named_as_a_model_file_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "marker")))
    with pytest.raises(ModelError, match="pickle"):
        check_file(path)
    with pytest.raises(ModelError):
        check_gguf(path)
    assert not (tmp_path / "marker").exists()


def test_checking_imports_nothing_that_could_load_a_model(folder):
    code = (
        "import sys, pathlib; from assistant.models.safety import check_folder; check_folder(pathlib.Path(sys.argv[1]));"
        "sys.exit(bool({'torch', 'transformers', 'pickle', 'safetensors', 'jinja2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-P", "-c", code, str(folder)], check=False).returncode == 0
