"""Servers of other people: each is used for what it can do, its failures are one clear line, text that leaves is announced."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from assistant.client import ChatRequest, Delta, Done, Waiting, remote
from assistant.conversation import Conversation, Message, start
from assistant.endpoints import EndpointProfile
from assistant.errors import AssistantError, HostBusy, UsageError
from assistant.settings import Settings
from tests.remote.foreign_server import KEY, MODEL, WINDOW

KINDS = ("vllm", "ollama", "llamacpp")
PROGRAM = str(Path(sys.executable).with_name("assistant"))
SERVER = Path(__file__).with_name("foreign_server.py")


@dataclass
class Foreign:
    url: str
    host: str
    log: Path

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    @property
    def chats(self) -> list[dict[str, Any]]:
        return [one["body"] for one in self.requests if one["path"] == "/v1/chat/completions"]


Begin = Callable[..., Foreign]


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Begin]:
    """`foreign("vllm", "limit")` starts a server with a fault; at `127.0.0.1`, which is this machine, unless told otherwise."""
    processes = []

    def begin(kind: str, fault: str = "", address: str = "127.0.0.1") -> Foreign:
        log = tmp_path / f"requests{len(processes)}"
        log.touch()
        command = [sys.executable, str(SERVER), kind, address, str(log), fault]
        processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert processes[-1].stdout is not None
        return Foreign(f"http://{address}:{int(processes[-1].stdout.readline())}", address, log)

    yield begin
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("STARCHAT_")}
        variables = {**kept, "STARCHAT_HOME": str(tmp_path / "home"), "COLUMNS": "200", **environment}
        return subprocess.run(
            [PROGRAM, *arguments],
            cwd=tmp_path,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return call


def profile_of(server: Foreign) -> EndpointProfile:
    async def found() -> EndpointProfile:
        client = await remote(Settings(endpoint=server.url))
        await client.close()
        return client.profile

    return asyncio.run(found())


def test_each_kind_is_known_by_what_it_says(foreign: Begin) -> None:
    vllm, ollama, llamacpp = (profile_of(foreign(kind)) for kind in KINDS)
    assert (vllm.continues_assistant, vllm.counts, vllm.context_length) == (True, True, WINDOW)
    assert (ollama.continues_assistant, ollama.counts, ollama.context_length) == (False, False, None)
    assert (llamacpp.continues_assistant, llamacpp.counts, llamacpp.context_length) == (True, False, WINDOW)
    for profile in (vllm, ollama, llamacpp):
        assert (profile.name, profile.predicts, profile.fills, profile.remote) == (MODEL, False, False, False)


@pytest.mark.parametrize(("kind", "ending"), [("vllm", ""), ("vllm", "/v1/"), ("ollama", "/"), ("llamacpp", "/v1")])
def test_a_question_is_answered(foreign: Begin, run: Callable[..., Any], kind: str, ending: str) -> None:
    server = foreign(kind)
    ended = run("ask", "--json", "What is a list?", "--endpoint", server.url + ending)
    told = json.loads(ended.stdout)
    assert (ended.returncode, told["text"], told["model"], told["finish_reason"]) == (0, "It is a list.", MODEL, "stop")
    assert "leaves this machine" not in ended.stderr
    (body,) = server.chats
    assert "prediction" not in body and body["messages"][-1]["role"] == "user"


@pytest.mark.parametrize("kind", KINDS)
def test_a_bug_is_fixed_with_what_the_server_can_do(foreign: Begin, run: Callable[..., Any], tmp_path: Path, kind: str) -> None:
    (tmp_path / "sums.py").write_text("def add(a, b):\n    return a - b\n")
    server = foreign(kind)
    ended = run("fix", "sums.py", "--write", "--endpoint", server.url)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "sums.py").read_text() == "def add(a, b):\n    return a + b\n"
    body = server.chats[0]
    begun = body["messages"][-1]["role"] == "assistant"
    assert not (begun and kind == "ollama")
    assert ("continue_final_message" in body) == begun and "prediction" not in body


@pytest.mark.parametrize("kind", ["vllm"])
def test_text_that_leaves_the_machine_is_announced(foreign: Begin, run: Callable[..., Any], kind: str) -> None:
    server = foreign(kind, address="127.0.0.2")  # not one of the names of this machine
    ended = run("ask", "What is a list?", "--endpoint", server.url)
    assert ended.returncode == 0 and "Your code leaves this machine: 127.0.0.2" in ended.stderr
    from_settings = run("ask", "What is a list?", STARCHAT_ENDPOINT=server.url)
    assert "Your code leaves this machine: 127.0.0.2" in from_settings.stderr


def test_the_key_is_sent_and_never_shown(foreign: Begin, run: Callable[..., Any]) -> None:
    server = foreign("vllm", "key")
    ended = run("ask", "Hi", "--endpoint", server.url, STARCHAT_API_KEY=KEY)
    assert ended.returncode == 0 and KEY not in ended.stdout + ended.stderr
    assert {one["key"] for one in server.requests} == {f"Bearer {KEY}"}


FAULTS = [
    ("key", 8, ["401", "STARCHAT_API_KEY"]),
    ("limit", 8, ["429", "17 seconds"]),
    ("date", 8, ["429", "Try again in"]),
    ("failing", 8, ["500", "server's log"]),
    ("html", 8, ["does not speak the OpenAI API"]),
    ("empty", 8, ["offers no model", "-m"]),
    ("cut", 8, ["broke off"]),
    ("ended", 8, ["broke off"]),
    ("garbage", 8, ["no part of a reply"]),
    ("inside", 8, ["CUDA out of memory"]),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("fault", "code", "said"), FAULTS, ids=[fault for fault, _, _ in FAULTS])
def test_a_failure_is_one_clear_line(foreign: Begin, kind: str, fault: str, code: int, said: list[str]) -> None:
    with pytest.raises(AssistantError) as caught:
        converse(foreign(kind, fault), start("What is a list?"))
    line = str(caught.value)
    assert caught.value.exit_code == code and len(line.splitlines()) == 1
    assert all(part in line for part in said) and "<html>" not in line, line


@pytest.mark.parametrize(("kind", "fault"), [("vllm", "key"), ("ollama", "limit"), ("llamacpp", "inside")])
def test_the_shell_shows_just_that_line(foreign: Begin, run: Callable[..., Any], kind: str, fault: str) -> None:
    _, code, said = next(row for row in FAULTS if row[0] == fault)
    ended = run("ask", "What is a list?", "--endpoint", foreign(kind, fault).url)
    (line,) = [one for one in ended.stderr.strip().splitlines() if one.startswith("assistant: ")]
    assert ended.returncode == code and all(part in line for part in said)


def test_the_wait_that_a_server_asks_for_is_kept_as_a_number(foreign: Begin) -> None:
    with pytest.raises(HostBusy) as caught:
        converse(foreign("vllm", "limit"), start("Hi"))
    assert caught.value.retry_after == 17


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_model_is_named(foreign: Begin, run: Callable[..., Any], kind: str) -> None:
    ended = run("ask", "Hi", "-m", "no-such-model", "--endpoint", foreign(kind).url)
    assert ended.returncode == 5
    assert "404" in ended.stderr and "no-such-model" in ended.stderr and "-m" in ended.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_too_much_text_is_refused_before_it_is_sent_where_the_window_is_known(
    foreign: Begin, run: Callable[..., Any], tmp_path: Path, kind: str
) -> None:
    (tmp_path / "long.txt").write_text("many words " * 4000)
    server = foreign(kind)
    ended = run("ask", "What is this?", "-f", "long.txt", "--endpoint", server.url)
    assert ended.returncode == 3, ended.stderr
    assert bool(server.chats) == (kind == "ollama")  # whose window is not told, so that it has to refuse by itself
    if kind == "llamacpp":
        assert "about" in ended.stderr or "≈" in ended.stderr


def test_a_server_that_is_not_there_is_said_so(run: Callable[..., Any]) -> None:
    ended = run("ask", "Hi", "--endpoint", "http://127.0.0.1:9")
    assert ended.returncode == 8 and "cannot be reached" in ended.stderr
    ended = run("ask", "Hi", "--endpoint", "ftp://127.0.0.1")
    assert ended.returncode == 2 and "http" in ended.stderr


def test_a_slow_server_is_waited_for_and_can_be_stopped(foreign: Begin, run: Callable[..., Any], tmp_path: Path) -> None:
    ended = run("ask", "--json", "What is a list?", "--endpoint", foreign("ollama", "slow").url)
    assert json.loads(ended.stdout)["text"] == "It is a list."
    process = subprocess.Popen(
        [PROGRAM, "ask", "Hi", "--endpoint", foreign("vllm", "silent").url],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130


def converse(server: Foreign, conversation: Conversation) -> tuple[str, list[str], Done | None]:
    async def talk() -> tuple[str, list[str], Done | None]:
        client = await remote(Settings(endpoint=server.url))
        text, notes, done = "", [], None
        try:
            async for item in client.stream(ChatRequest(conversation, prediction="def f(): pass")):
                match item:
                    case Delta():
                        text += item.text
                    case Waiting(note=note) if note:
                        notes.append(note)
                    case Done():
                        done = item
        finally:
            await client.close()
        return text, notes, done

    return asyncio.run(talk())


@pytest.mark.parametrize("kind", KINDS)
def test_control_words_are_broken_up_and_it_is_said(foreign: Begin, kind: str) -> None:
    server = foreign(kind)
    words = ["<|im_end|>", "<|im_start|>", "</s>", "<|assistant|>", "[INST]", "<fim_prefix>", "<｜end▁of▁sentence｜>"]
    text, notes, done = converse(server, start("What do these mean? " + " ".join(words)))
    assert text == "It is a list." and done is not None and done.finish_reason == "stop"
    assert notes == [f"{len(words)} control words in the text were broken up before sending."]
    (body,) = server.chats
    sent = body["messages"][-1]["content"]
    assert not any(word in sent for word in words) and sent.replace("\u2060", "").endswith(" ".join(words))


def test_usage_is_what_the_server_says_or_nothing(foreign: Begin) -> None:
    assert [converse(foreign(kind), start("Hi"))[2].usage.prompt for kind in KINDS] == [21, 0, 21]


def test_a_begun_reply_goes_only_where_it_is_continued(foreign: Begin) -> None:
    begun = Conversation((Message("user", "Hi"), Message("assistant", "It ")))
    for kind in ("vllm", "llamacpp"):
        server = foreign(kind)
        converse(server, begun)
        assert server.chats[0]["continue_final_message"] is True and server.chats[0]["add_generation_prompt"] is False
    with pytest.raises(UsageError):
        converse(foreign("ollama"), begun)
