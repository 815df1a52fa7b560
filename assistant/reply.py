"""A streamed reply taken apart: prose, thoughts and fenced code.  No IO; feeding it in any pieces gives the same `Reply`.

Fences are those of CommonMark 0.31 (three or more backticks or tildes, an info string, closed by at least as many of the same
character), with one addition: a fence with an info string inside a block opens a nested one, which its own fence closes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from assistant.control_words import without_control_words, without_trailing
from assistant.definitions import definitions
from assistant.languages import Language, language_of_fence
from assistant.refusals import NoCode, Truncated
from assistant.wire import FinishReason

EventKind = Literal["prose", "thought", "open", "code", "close"]


@dataclass(frozen=True, slots=True)
class ReplyEvent:
    """A piece of the reply as it comes.  `text` is the info string of `open`, and empty for `close`."""

    kind: EventKind
    text: str = ""


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """One fenced block: its info string, its text, and whether its closing fence came."""

    language: str
    code: str
    closed: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply.

    text: as it came.  prose: what stands outside fences and thoughts, without control words at its ends.
    thoughts: what stood in `<think>`.  blocks: the fenced blocks, in order.
    prefilled: whether the first block was opened by the prompt.
    """

    text: str
    prose: str
    thoughts: str
    blocks: tuple[CodeBlock, ...]
    prefilled: bool = False


def parse(text: str, prefill: str = "") -> Reply:
    """The whole of `text`, that came after `prefill`, as a `Reply`."""
    parser = ReplyParser(prefill)
    parser.feed(text)
    return parser.finish()


def code_of(reply: Reply, finish_reason: FinishReason, language: Language | None = None, name: str = "") -> str:
    """The code that the reply offers.

    Of several blocks: one that the prompt opened wins.  Else those that define `name` count, where there are any; of
    these, those in `language` or without a language, where there are any; of these, the last that is at least two thirds as
    long as the longest: a quoted original comes before the answer, an example of its use is short.

    Raises:
        Truncated: the reply did not end by itself.
        NoCode: it holds no code.
    """
    if finish_reason != "stop":
        why = {"length": "reached its token limit", "loop": "began to repeat itself"}.get(finish_reason, "was stopped")
        raise Truncated(
            f"The answer {why} before it was complete.", "Choose a smaller region, or allow more tokens.", reply.text
        )
    blocks = [block for block in reply.blocks if block.code.strip()]
    if not blocks:
        raise NoCode("The answer holds no code.", "Read it, and ask again in other words.", reply.text)
    if reply.prefilled and blocks[0] is reply.blocks[0]:
        return blocks[0].code
    return _chosen(blocks, language, name).code


def _chosen(blocks: Sequence[CodeBlock], language: Language | None, name: str) -> CodeBlock:
    if name:
        blocks = [block for block in blocks if _defines(block, language, name)] or blocks
    if language is not None:
        blocks = [block for block in blocks if language_of_fence(block.language) in (language, None)] or blocks
    longest = max(len(block.code) for block in blocks)
    return [block for block in blocks if 3 * len(block.code) >= 2 * longest][-1]


def _defines(block: CodeBlock, language: Language | None, name: str) -> bool:
    """Whether `name` is defined in the block; without a grammar, whether it stands there."""
    if language is not None and language.grammar is not None:
        return any(found.name == name for found in definitions(block.code, language))
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", block.code) is not None


_FENCE = re.compile(r"([ \t]*)(`{3,}(?=[^`]*$)|~{3,})[ \t]*(.*?)[ \t]*$")


@dataclass(slots=True)
class _Open:
    """The fence that is open: its indentation, its characters, its info string, and how many fences are nested in it."""

    indent: int
    mark: str
    info: str
    nested: int = 0
    code: list[str] = field(default_factory=list)


class ReplyParser:
    """Takes a reply apart while it comes: `feed` each piece, then `finish` once.

    `prefill` is what the prompt already wrote of the reply; where it ends in an open fence, the reply starts inside it.
    """

    def __init__(self, prefill: str = "") -> None:
        self._all: list[str] = []
        self._prose: list[str] = []
        self._thoughts: list[str] = []
        self._blocks: list[CodeBlock] = []
        self._fence: _Open | None = None
        self._thinking = False
        self._line = ""
        self._sent = 0
        self._events: list[ReplyEvent] = []
        self._prefilled = self._open_prefilled(prefill)

    def feed(self, text: str) -> list[ReplyEvent]:
        """Take the next piece; what it makes certain comes back as events, in order."""
        self._all.append(text)
        *whole, rest = (self._line + text).split("\n")
        for line in whole:
            self._take(line + "\n")
            self._sent = 0
        self._line = rest
        if rest:
            self._show_early()
        return self._handed_over()

    def finish(self) -> Reply:
        """The reply is over: all of it."""
        if self._line and not self._is_half_a_fence(self._line):
            self._take(self._line)
        if self._fence is not None:
            self._close(closed=False)
        prose = without_control_words("".join(self._prose)).strip()
        thoughts = "".join(self._thoughts).strip()
        return Reply("".join(self._all), prose, thoughts, tuple(self._blocks), self._prefilled)

    def _open_prefilled(self, prefill: str) -> bool:
        for line in prefill.splitlines():
            self._take(line + "\n")
        inside = self._fence is not None
        self._prose, self._thoughts, self._blocks, self._events = [], [], [], []
        return inside

    def _take(self, line: str) -> None:
        """One whole line, or the last one without its newline."""
        if self._fence is not None:
            self._take_code(self._fence, line)
        elif self._thinking:
            self._take_thought(line)
        elif line.lstrip().startswith("<think>"):
            self._thinking = True
            self._take_thought(line.lstrip().removeprefix("<think>"))
        elif "</think>" in line:  # opened by the model's template: all before it was thought
            self._thoughts, self._prose, self._blocks = [*self._thoughts, *self._prose], [], []
            self._thinking = True
            self._take_thought(line)
        else:
            self._take_prose(line)

    def _take_thought(self, line: str) -> None:
        thought, ended, rest = line.partition("</think>")
        self._thoughts.append(thought)
        self._tell("thought", thought)
        if ended:
            self._thinking = False
            self._sent = 0
            if rest.strip():
                self._take(rest.lstrip())

    def _take_prose(self, line: str) -> None:
        found = _FENCE.match(line.rstrip("\r\n"))
        if found:
            self._fence = _Open(len(found[1]), found[2], found[3])
            self._events.append(ReplyEvent("open", found[3]))
        else:
            self._prose.append(line)
            self._tell("prose", line)

    def _take_code(self, fence: _Open, line: str) -> None:
        found = _FENCE.match(line.rstrip("\r\n"))
        if found and found[2].startswith(fence.mark) and len(found[1]) <= fence.indent + 3:
            info = without_control_words(found[3])
            if not info and fence.nested == 0:
                self._close(closed=True)
                return
            fence.nested += 1 if info else -1
        kept = line[min(fence.indent, len(line) - len(line.lstrip(" \t"))) :]
        fence.code.append(kept)
        self._tell("code", kept)

    def _close(self, closed: bool) -> None:
        assert self._fence is not None
        code = "".join(self._fence.code)
        self._blocks.append(CodeBlock(self._fence.info, code if closed else without_trailing(code), closed))
        self._events.append(ReplyEvent("close"))
        self._fence = None

    def _is_half_a_fence(self, line: str) -> bool:
        """Whether `line`, the last one, is the beginning of the closing fence and no more."""
        if self._fence is None:
            return False
        rest = line.strip()
        return 0 < len(rest) < len(self._fence.mark) and rest == rest[0] * len(rest) and rest[0] == self._fence.mark[0]

    def _show_early(self) -> None:
        """Tell of the line under way, where nothing that may follow can make it a fence or a tag."""
        line = self._line
        start = line.lstrip(" \t")
        if self._fence is not None and start and start[0] != self._fence.mark[0] and self._fence.indent == 0:
            self._tell("code", line)
        elif self._fence is None and not self._thinking and start and start[0] not in "`~<" and "<" not in line:
            self._tell("prose", line)

    def _tell(self, kind: EventKind, text: str) -> None:
        if text[self._sent :]:
            self._events.append(ReplyEvent(kind, text[self._sent :]))
        self._sent = len(text)

    def _handed_over(self) -> list[ReplyEvent]:
        events, self._events = self._events, []
        return events
