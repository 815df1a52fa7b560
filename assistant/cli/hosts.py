"""`assistant status` and `assistant stop`: the model hosts that run in the background."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from assistant.errors import HostError, UsageError

if TYPE_CHECKING:
    from assistant.hosts import Running

_COLUMNS = ("MODEL", "STATE", "PID", "MEMORY", "UP", "IDLE", "ACTIVE", "QUEUED", "SERVES", "ENGINE")


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands to the parser."""
    status = commands.add_parser("status", help="show which model hosts run", description="Show which model hosts run.")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    status.set_defaults(run=run)
    stop = commands.add_parser("stop", help="stop model hosts and free their memory", description="Stop model hosts.")
    stop.add_argument("name", nargs="?", metavar="NAME", help="the model whose host is to stop")
    stop.add_argument("--all", action="store_true", help="stop every host")
    stop.set_defaults(run=run_stop)
    for parser in (status, stop):
        parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        parser.add_argument("-y", "--yes", action="store_true", help="answer every question with yes")


def run(options: argparse.Namespace) -> int:
    """Show the hosts; returns the exit code."""
    import asyncio

    from assistant.hosts import running

    hosts = asyncio.run(running())
    if options.json:
        print(json.dumps({"hosts": [_facts(host) for host in hosts]}))
    elif not hosts:
        print("No model host is running; the next question starts one.")
    else:
        _print_table([_COLUMNS, *map(_row, hosts)])
    return 0


def run_stop(options: argparse.Namespace) -> int:
    """Stop the hosts that were named; returns the exit code."""
    import asyncio

    from assistant.hosts import running, stop

    hosts = asyncio.run(running())
    chosen = _chosen(hosts, options.name, every=options.all)
    if not chosen:
        print("No model host is running.")
        return 0
    asyncio.run(stop(chosen))
    left = {host.record.pid for host in asyncio.run(running())} & {host.record.pid for host in chosen}
    if left:
        raise HostError(f"{len(left)} model host(s) did not end.", f"End the process yourself: {', '.join(map(str, left))}.")
    print(f"Stopped {', '.join(host.record.model for host in chosen)}.")
    return 0


def _chosen(hosts: list[Running], name: str | None, *, every: bool) -> list[Running]:
    """The hosts that are meant; one that runs alone needs no name.

    Raises:
        UsageError: no host of that name runs, or several run and none was named.
    """
    names = ", ".join(sorted({host.record.model for host in hosts}))
    if every and name:
        raise UsageError("--all and a name exclude each other.", "Give one of them.")
    if name is None and len(hosts) > 1 and not every:
        raise UsageError("Several model hosts are running.", f"Name one of {names}, or use --all.")
    chosen = hosts if name is None else [host for host in hosts if host.record.model == name]
    if name and not chosen:
        raise UsageError(f"No host of the model {name!r} is running.", f"Running: {names or 'none'}.")
    return chosen


def _facts(host: Running) -> dict[str, Any]:
    """One host as JSON: its `/health`, or what its record says where it does not answer."""
    record = {"model": host.record.model, "pid": host.record.pid, "key": host.record.key}
    return {**record, "status": "silent", **(host.health or {})}


def _row(host: Running) -> tuple[str, ...]:
    facts = _facts(host)
    state = facts["status"] if facts["status"] != "loading" else f"loading {facts['progress']:.0%}"
    memory = facts.get("memory_bytes")
    times = (_duration(facts.get("uptime_s")), _duration(facts.get("idle_s")))
    load = (str(facts.get("active", "-")), str(facts.get("queued", "-")), ", ".join(facts.get("serves") or ()) or "-")
    runs = (f"{memory / 2**20:,.0f} MiB" if memory else "-", *times, *load, facts.get("engine") or "-")
    return (facts["model"], state, str(facts["pid"]), *runs)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}h{minutes % 60:02}m" if minutes >= 60 else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")
