"""Disks that remember every write: what a power cut would have left of them."""

import os
import runpy
import subprocess
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

disk = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "molecule/disk.py")))

pytestmark = pytest.mark.skipif(os.geteuid() != 0 or not os.path.exists("/dev/fuse"), reason="mounts, as root")


@contextmanager
def mounted(image, directory):
    directory.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", image, directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)


def test_what_reached_a_disk_is_what_a_power_cut_leaves(tmp_path):
    (tmp_path / "record").mkdir()
    (tmp_path / "after").mkdir()
    record = disk.Record(tmp_path / "record", ["one", "other"])
    for name in record.names:
        with record.first(name).open("w") as image:
            image.truncate(32 * 1024**2)
        subprocess.run(["mkfs.ext4", "-q", record.first(name)], check=True)
    with record.running() as disks, mounted(disks["one"], tmp_path / "files") as files:
        (files / "safe").write_text("content" * 100_000)
        subprocess.run(["sync", "--file-system", files], check=True)
        flushed = [*record.entries()]
        (files / "unsafe").write_text("content")
        in_memory = [*record.entries()]
        subprocess.run(["sync", "--file-system", files], check=True)
        all_of_it = [*record.entries()]

    def left_of(entries):
        record.restore(entries, tmp_path / "after")
        with mounted(tmp_path / "after/one", tmp_path / "files") as files:
            return {path.name: path.read_text() for path in files.iterdir() if path.is_file()}

    safe = {"safe": "content" * 100_000}
    assert left_of([]) == {}
    assert left_of(flushed) == left_of(in_memory) == safe
    assert left_of(all_of_it) == {**safe, "unsafe": "content"}
    for seed in range(10):
        assert left_of(disk.kept(flushed, seed)) == safe, "it was flushed"
        assert left_of(disk.kept(all_of_it[: len(flushed) + 2], seed))["safe"] == safe["safe"]


def test_a_cache_loses_what_was_not_flushed():
    def entry(kind, number):
        return disk.Entry(kind, number % 2, 0, 0, 0, number)

    entries = [entry(disk.WRITE, number) for number in range(20)] + [entry(disk.FLUSH, 0), entry(disk.WRITE, 21)]
    found = [disk.kept(entries, seed) for seed in range(50)]
    flushed = [one for one in entries if one.disk == 0]
    assert all(one in kept for kept in found for one in flushed[:-1])
    assert any(len(kept) < len(entries) - 1 for kept in found)
    assert {one for kept in found for one in kept} >= {one for one in entries if one.disk == 1}
