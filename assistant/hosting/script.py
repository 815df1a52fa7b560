"""The file that a `ScriptedEngine` plays.

`scripted:FILE` as a model opens one.  The file is JSON; every key may be left out:

    {
      "context_length": 4096,        tokens of the window
      "slots": 1,                    streams at once
      "template": "starchat",        which control tokens it has: "starchat", "chatml" or "none"
      "fill": true,                  whether it has fill-in-the-middle tokens
      "load_ms": 0,                  time that loading takes
      "fail": "no such weights",     loading fails with this message
      "kill": "segv",                loading ends the process ("kill", "segv", "abort" or "exit")
      "rules": [
        {
          "match": "regex",          searched for in the decoded prompt; without it the rule always fits
          "reply": "text",           or a list: one text for each request in turn, the last for all that follow
          "echo": true,              the reply is the text after the last opened user turn, instead of "reply"
          "prefill_ms": 0,           time until the first token, cancelled between milliseconds
          "delay_ms": 0,             time for each token
          "reason": "stop",          or "length", "loop"
          "crash": "segv",           the process ends: "kill", "segv", "abort" or "exit" …
          "crash_after": 0,          … after so many tokens
          "hesitates": {"a ": "+-"}, after this text of the reply, either of these characters would have been nearly as likely
          "oom": true                refused for want of memory
        }
      ]
    }

The first rule that fits is played; where none does, the reply is "ok".  Tokens are the bytes of UTF-8 (ids 0 to 255); control
tokens follow from id 256 on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from assistant.errors import ModelError
from assistant.wire import FinishReason

END = "<|endoftext|>"
CONTROLS: Mapping[str, tuple[str, ...]] = {
    "starchat": ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
    "chatml": ("<|im_start|>", "<|im_end|>"),
    "none": (),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the script; see the module for its keys."""

    match: str = ""
    reply: str | list[str] = "ok"
    echo: bool = False
    prefill_ms: float = 0
    delay_ms: float = 0
    reason: FinishReason = "stop"
    crash: str = ""
    crash_after: int = 0
    hesitates: Mapping[str, str] = field(default_factory=dict)
    oom: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """The whole file; see the module for its keys."""

    context_length: int = 4096
    slots: int = 1
    template: str = "starchat"
    fill: bool = True
    load_ms: float = 0
    fail: str = ""
    kill: str = ""
    rules: tuple[Rule, ...] = ()


def read(path: Path) -> Script:
    """The script in a file.

    Raises:
        ModelError: the file is missing, or is no script.
    """
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        script = Script(**{**raw, "rules": tuple(Rule(**rule) for rule in raw.get("rules", ()))})
    except OSError as error:
        raise ModelError(f"The script {path} cannot be read: {error.strerror}.", "Give the path of a script.") from error
    except (ValueError, TypeError, AttributeError) as error:
        keys = ", ".join(one.name for one in fields(Script))
        raise ModelError(f"{path} is not a script: {error}.", f"Its keys are {keys}.") from error
    if script.template not in CONTROLS:
        raise ModelError(f"{path} names the unknown template {script.template!r}.", f"Use one of {', '.join(CONTROLS)}.")
    return script
