"""What `assistant serve` does: open a door at the running model host, say how to use it, keep it open."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import secrets
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from assistant.cli.session import connected
from assistant.cli.terminal import Progress
from assistant.client import ModelClient
from assistant.endpoints import LOOPBACK
from assistant.errors import HostCrashed, InputError, StorageError, UsageError

SHORTEST_TOKEN = 20


def serve(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C, or until the host is stopped; returns the exit code.

    Raises:
        UsageError: the address is not to be had, or the settings name a remote endpoint.
        InputError: the token file holds no usable token, or others may read it.
        AssistantError: whatever keeps the model from running.
    """
    tokens = _tokens(options.token_file)
    try:
        return asyncio.run(_serve(options, tokens))
    except KeyboardInterrupt:  # the usual end
        print("assistant: No longer serving.", file=sys.stderr)
        return 0


async def _serve(options: argparse.Namespace, tokens: Sequence[str]) -> int:
    digests = [hashlib.sha256(token.encode()).hexdigest() for token in tokens]
    port, told = options.port, False
    while True:
        progress = Progress()
        try:
            async with connected(options, progress) as client:
                progress.clear()
                async for event in _door(client, options.host, port, digests):
                    if event.get("ended"):
                        print("assistant: The model host was stopped.", file=sys.stderr)
                        return 0
                    port = event["port"]  # a host that takes its place keeps the address
                    _tell(options, event["model"], port, tokens, again=told)
                    told = True
        except HostCrashed:
            if not told:
                raise
        print("assistant: The model host died; starting another.", file=sys.stderr)


async def _door(client: ModelClient, host: str, port: int, digests: Sequence[str]) -> AsyncGenerator[Mapping[str, Any]]:
    if client.profile.host:
        raise UsageError(f"{client.profile.host} serves its model itself.", "Name a local model with -m to serve that.")
    async with aclosing(client.serve(host, port, digests)) as events:  # type: ignore[type-var]  # an async generator
        async for event in events:
            yield event


def _tell(options: argparse.Namespace, model: str, port: int, tokens: Sequence[str], *, again: bool) -> None:
    if again:
        print(f"assistant: Serving {model} again.", file=sys.stderr)
        return
    host = f"[{options.host}]" if ":" in options.host else options.host
    url = f"http://{host}:{port}/v1"
    print(f"Serving {model} at {url}")
    if options.token_file:
        print(f"Token: in {options.token_file}")
        print(f'  export OPENAI_BASE_URL={url} OPENAI_API_KEY="$(head -n 1 {options.token_file})"')
    else:
        print(f"Token, shown once: {tokens[0]}")
        print(f"  export OPENAI_BASE_URL={url} OPENAI_API_KEY={tokens[0]}")
    print("Ctrl-C ends it.", flush=True)
    if options.host not in LOOPBACK:
        print(
            f"assistant: Warning: anybody who can reach this machine at {host}:{port} and knows the token can use the model,"
            " and what is sent is not encrypted.",
            file=sys.stderr,
        )


def _tokens(file: Path | None) -> tuple[str, ...]:
    """The tokens of the file, which is made where it is missing; without a file, a new one.

    Raises:
        InputError: the file holds no token, one that is too short, or can be read by others.
        StorageError: it cannot be read or made.
    """
    if file is None:
        return (secrets.token_urlsafe(32),)
    try:
        if not file.exists():
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as made:
                made.write(secrets.token_urlsafe(32) + "\n")
        if os.name == "posix" and file.stat().st_mode & 0o077:
            raise InputError(f"{file} can be read by others.", f"Run: chmod 600 {file}")
        lines = file.read_text(encoding="ascii").split("\n")
    except OSError as error:
        raise StorageError(f"{file} cannot be used: {error.strerror}.", "Check the path and its permissions.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} holds something that is no token.", "Tokens are ASCII, one a line.") from error
    tokens = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not tokens or min(map(len, tokens)) < SHORTEST_TOKEN or any(" " in token for token in tokens):
        raise InputError(
            f"{file} needs tokens of at least {SHORTEST_TOKEN} characters, one a line.", "Remove it to have one made."
        )
    return tokens
