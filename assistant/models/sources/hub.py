"""Models from the publisher's hub, by its own client: `HF_ENDPOINT`, `HF_HOME`, `HF_TOKEN` and proxies count as everywhere.

Files lie in the hub's own cache, shared with every other program that uses it; downloads resume there.
"""

from __future__ import annotations

import fnmatch
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from assistant.errors import DownloadError, ModelError
from assistant.models.catalogue import ModelFile
from assistant.models.files import require_space, sha256_of, storage_errors
from assistant.models.offers import Progress

_REACH = 4.0
"""Seconds after which the hub counts as not reachable."""

_WANTED = ("*.safetensors", "*.json", "tokenizer.model", "merges.txt", "vocab.txt", "LICENSE*", "README.md")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


class HubUnreachable(DownloadError):
    """The hub does not answer; another source may."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository's files at one commit, with the sha256 that the hub lists for the large ones."""

    repo: str
    commit: str
    files: tuple[ModelFile, ...]


def describe() -> str:
    """Where the hub is, in words."""
    from huggingface_hub import constants

    return f"the publisher's repository at {constants.ENDPOINT.partition('://')[2]}"


def cache_folder() -> Path:
    """The hub's own cache on this machine."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def listing(repo: str, revision: str, pinned: tuple[ModelFile, ...] = ()) -> Listing:
    """Ask the hub what there is: the pinned files, or else all that a safe model folder may hold.

    Raises:
        HubUnreachable: it does not answer within seconds.
        ModelError: there is no such model, it is gated, or all that it has are pickles.
    """
    from huggingface_hub import HfApi

    with _hub_errors(repo):
        info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=_REACH)
    found = tuple(_as_file(sibling) for sibling in info.siblings or ())
    names = {file.name for file in pinned}
    files = tuple(file for file in found if (file.name in names if pinned else is_wanted(file.name)))
    if pinned and len(files) < len(pinned):
        raise ModelError(f"{repo} has no file {' or '.join(sorted(names))}.", "Choose --source mirror or a folder.")
    if not pinned and not any(file.name.endswith(".safetensors") for file in files):
        raise _nothing_safe(repo, [file.name for file in found])
    return Listing(repo, info.sha or revision, files)


def cached(repo: str, revision: str, pinned: tuple[ModelFile, ...] = ()) -> Listing | None:
    """What an earlier download, also another program's, left in the hub's cache; None where the model is not all there."""
    folder = _snapshot(repo, revision)
    if folder is None:
        return None
    names = {path.name for path in folder.iterdir() if path.exists()}
    wanted = {file.name for file in pinned} or {name for name in names if is_wanted(name)}
    whole = wanted <= names if pinned else "config.json" in wanted and any(name.endswith(".safetensors") for name in wanted)
    if not whole:
        return None
    return Listing(repo, folder.name, tuple(ModelFile(name, (folder / name).stat().st_size) for name in sorted(wanted)))


def _snapshot(repo: str, revision: str) -> Path | None:
    """The folder of a revision in the hub's cache, or else the newest one of that model.

    Source: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
    """
    place = cache_folder() / f"models--{repo.replace('/', '--')}"
    snapshots = [path for path in (place / "snapshots").glob("*") if path.is_dir()]
    reference = place / "refs" / revision
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    named = [path for path in snapshots if path.name == commit]
    return max(named or snapshots, key=lambda path: path.stat().st_mtime, default=None)


def remaining(wanted: Listing) -> int:
    """Bytes that are not in the hub's cache yet."""
    from huggingface_hub import try_to_load_from_cache

    def cached(file: ModelFile) -> bool:
        return isinstance(try_to_load_from_cache(wanted.repo, file.name, revision=wanted.commit), str)

    return sum(file.size for file in wanted.files if not cached(file))


def fetch(wanted: Listing, report: Callable[[Progress], None]) -> tuple[Path, dict[str, str]]:
    """Bring the files into the hub's cache; returns their folder, and the sha256 of each.

    Raises:
        DownloadError: the connection broke, or a file is not what the hub lists.
        StorageError: the disk is full or not writable.
    """
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    total = sum(file.size for file in wanted.files)
    require_space(cache_folder(), remaining(wanted))
    done, checked, hashes = 0, 0, {}
    folder = cache_folder()
    for file in wanted.files:
        path = _fetch_one(wanted, file, partial(_report_from, report, done, total))
        done += file.size
        folder = Path(os.path.abspath(path)).parents[file.name.count("/")]  # noqa: PTH100 - the link's folder, not the blob's
    for file in wanted.files:
        hashes[file.name] = _checked(folder / file.name, file)
        checked += file.size
        report(Progress("check", checked, total))
    return folder, hashes


def _report_from(report: Callable[[Progress], None], before: int, total: int, count: int) -> None:
    report(Progress("download", before + count, total))


def _fetch_one(wanted: Listing, file: ModelFile, done: Callable[[int], None]) -> str:
    from huggingface_hub import hf_hub_download

    with _hub_errors(wanted.repo), storage_errors(cache_folder()):
        return hf_hub_download(wanted.repo, file.name, revision=wanted.commit, tqdm_class=_meter(done, file.size))


def _checked(path: Path, file: ModelFile) -> str:
    """The file's sha256; a file that is not what the hub lists is deleted."""
    sha256 = sha256_of(path)
    if file.sha256 not in (None, sha256):
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise DownloadError(
            f"{file.name} has arrived, but its sha256 is not the one that its publisher lists.",
            "It was thrown away; run it again.",
        )
    return sha256


def _meter(done: Callable[[int], None], size: int) -> type[Any]:
    """A progress bar for the hub's client that draws nothing and passes on how far it is."""
    from tqdm.std import tqdm  # type: ignore[import-untyped]  # it ships no types

    class Meter(tqdm):  # type: ignore[misc]  # an untyped base
        def display(self, *args: object, **kwargs: object) -> None:
            """Draw nothing."""

        def update(self, n: float | None = 1) -> bool | None:
            answer: bool | None = super().update(n)
            done(min(int(self.n), size))
            return answer

        def close(self) -> None:
            self.disable = True

    return Meter


@contextmanager
def _hub_errors(repo: str) -> Iterator[None]:
    """Say what happened and what to do, in our own words."""
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise _gated(repo) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError) as error:
        raise ModelError(
            f"The hub has no model {repo} (or it is private).", "Check the spelling; for a private model set HF_TOKEN."
        ) from error
    except (httpx2.TransportError, errors.OfflineModeIsEnabled, errors.LocalEntryNotFoundError) as error:
        raise HubUnreachable(
            f"The hub cannot be reached: {_reason(error)}.",
            "Check the network, HF_ENDPOINT and the proxy settings and run it again; what has arrived is kept.",
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        kind = HubUnreachable if status >= 500 or status == 429 else DownloadError
        raise kind(f"The hub answered {status} for {repo}.", "Try again later; what has arrived is kept.") from error


def _reason(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__


def _gated(repo: str) -> ModelError:
    from huggingface_hub import constants

    return ModelError(
        f"{repo} is gated: its publisher wants you to accept the licence first.",
        f"1. Sign in and accept it at {constants.ENDPOINT}/{repo}. "
        f"2. Make a token of kind 'read' at {constants.ENDPOINT}/settings/tokens. "
        "3. Set HF_TOKEN to it (or run `hf auth login`). 4. Run the same command again.",
    )


def _nothing_safe(repo: str, names: list[str]) -> ModelError:
    if any(fnmatch.fnmatch(name, pattern) for name in names for pattern in _PICKLES):
        return ModelError(
            f"{repo} has its weights as pickles only, and opening a pickle can run any code.",
            "Choose a model with safetensors, or have its publisher convert it.",
        )
    if any(name.endswith(".gguf") for name in names):
        return ModelError(f"{repo} holds GGUF files.", "Download the one that you want and give its path: -m FILE.gguf.")
    return ModelError(f"{repo} holds no weights that can be opened here.", "Choose a model with safetensors.")


def is_wanted(name: str) -> bool:
    """Whether a file of that name belongs into a model folder."""
    return "/" not in name and any(fnmatch.fnmatch(name, pattern) for pattern in _WANTED)


def _as_file(sibling: Any) -> ModelFile:  # noqa: ANN401 - the hub client's own record
    lfs = sibling.lfs
    return ModelFile(sibling.rfilename, sibling.size or 0, lfs.sha256 if lfs else None)
