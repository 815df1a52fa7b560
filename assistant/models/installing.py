"""From a name to files on this disk: choose the source, ask for consent, fetch, verify, write the receipt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import ConsentNeeded, DownloadError, ModelError
from assistant.models import receipts
from assistant.models.catalogue import Entry
from assistant.models.files import free_bytes
from assistant.models.offers import CONSENT_BYTES, Offer, Progress
from assistant.models.receipts import Receipt
from assistant.models.safety import check_folder
from assistant.models.sources import folder as folder_source
from assistant.models.sources import hub, mirror

Report = Callable[[Progress], None]
Consent = Callable[[Offer], bool]

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Plan:
    """A download that can begin.  `fetch` brings the files and returns the folder, and the sha256 of each file by name."""

    source: str
    bytes: int
    folder: Path
    revision: str
    fetch: Callable[[Report], tuple[Path, dict[str, str]]]


def install(entry: Entry, consent: Consent, report: Report, source: str = AUTO) -> Receipt:
    """The entry's files, verified; fetched from `source` (`auto`, `hub`, `mirror` or a folder) where they are missing.

    Raises:
        ConsentNeeded: the user did not agree to the download.
        DownloadError, StorageError: it failed; what has arrived is kept.
        ModelError: what arrived is unsafe, or what was here is damaged.
    """
    ready = receipts.installed(entry.name)
    if ready:
        return receipts.confirm(ready, report)
    with receipts.locked(entry.name, report):
        ready = receipts.installed(entry.name)
        if ready:
            return receipts.confirm(ready, report)
        plan = _plan(entry, source)
        _ask(entry, plan, consent)
        folder, hashes = plan.fetch(report)
        if entry.format == "safetensors":
            check_folder(folder)
        return receipts.record(entry.name, folder, plan.source, plan.revision, hashes)


def _ask(entry: Entry, plan: Plan, consent: Consent) -> None:
    if plan.bytes <= CONSENT_BYTES:
        return
    offer = Offer(
        entry.name,
        entry.title,
        plan.bytes,
        entry.licence,
        entry.restrictions,
        plan.source,
        plan.folder,
        free_bytes(plan.folder),
    )
    if not consent(offer):
        raise ConsentNeeded(f"{entry.name} was not downloaded.", f"When you want it: assistant models pull {entry.name}.")


def _plan(entry: Entry, source: str) -> Plan:
    if source == "hub":
        return _from_hub(entry)
    if source == "mirror":
        return _from_mirror(entry)
    if source != AUTO:
        return _from_folder(entry, Path(source).expanduser())
    return _from_anywhere(entry)


def _from_anywhere(entry: Entry) -> Plan:
    if not entry.repo:
        return _from_mirror(entry)
    try:
        return _from_hub(entry)
    except hub.HubUnreachable as error:
        if entry.mirror:
            return _from_mirror(entry)
        remedy = f"{error.remedy} Or bring the files by hand: assistant models pull {entry.name} --source FOLDER."
        raise DownloadError(error.message, remedy) from error


def _from_hub(entry: Entry) -> Plan:
    if not entry.repo:
        raise ModelError(f"The hub of {entry.name} is not known.", "Choose --source mirror or a folder.")
    listing = _hub_listing(entry.repo, entry)
    pinned = {file.name: file for file in entry.files}
    wanted = hub.Listing(listing.repo, listing.commit, tuple(pinned.get(file.name, file) for file in listing.files))
    return Plan(
        hub.describe(), hub.remaining(wanted), hub.cache_folder(), wanted.commit, lambda report: hub.fetch(wanted, report)
    )


def _hub_listing(repo: str, entry: Entry) -> hub.Listing:
    try:
        return hub.listing(repo, entry.revision, entry.files)
    except hub.HubUnreachable:
        kept = hub.cached(repo, entry.revision, entry.files)
        if kept is None:
            raise
        return kept


def _from_mirror(entry: Entry) -> Plan:
    if not entry.mirror:
        raise ModelError(f"The mirror does not carry {entry.name}.", "Choose --source hub or a folder.")
    folder = receipts.folder_of(entry.name)

    def fetch(report: Report) -> tuple[Path, dict[str, str]]:
        mirror.fetch(entry, folder, report)
        return folder, {file.name: file.sha256 or "" for file in entry.files}

    return Plan(mirror.describe(), mirror.remaining(entry, folder), folder, entry.revision, fetch)


def _from_folder(entry: Entry, source: Path) -> Plan:
    files = folder_source.listing(entry, source)
    folder = receipts.folder_of(entry.name)

    def fetch(report: Report) -> tuple[Path, dict[str, str]]:
        return folder, folder_source.fetch(files, source, folder, report)

    return Plan(f"the folder {source}", 0, folder, "as given", fetch)
