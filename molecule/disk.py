"""Disks that remember every write, so that each state that was ever on them can be had again, as after a power cut.

    disk.py RECORD DIRECTORY NAME...    offer the files RECORD/NAME.live in DIRECTORY, and append to RECORD/log
                                        whatever is written to them, until somebody unmounts it

A file system on a loop device over such a file writes there what it would write to a disk, and flushes when it would
flush one. It is FUSE in its own words (linux/fuse.h): neither a library nor a kernel module is needed.
"""

import os
import random
import struct
import subprocess
import sys
import time
from collections import namedtuple
from contextlib import contextmanager
from pathlib import Path

# A write has its bytes behind it in the log; a flush says that all before it is safe.
WRITE, FLUSH = 1, 2
ENTRY = struct.Struct("<BBQId")
Entry = namedtuple("Entry", "kind disk offset length time data")


class Record:
    """Disks that are recorded: at first as a directory of images, then as they were after each entry of the log."""

    def __init__(self, directory, names):
        self.directory, self.names = Path(directory), names
        self.log = self.directory / "log"

    def first(self, name):
        """The image of a disk as it was when the record began."""
        return self.directory / f"{name}.first"

    @contextmanager
    def running(self):
        """Offer the disks while a block runs: {name: path}."""
        offered = self.directory / "disks"
        offered.mkdir()
        for name in self.names:
            copy(self.first(name), self.directory / f"{name}.live")
        server = subprocess.Popen([sys.executable, __file__, self.directory, offered, *self.names])
        try:
            while not offered.is_mount():
                assert server.poll() is None, "the disks cannot be offered"
                # It calls nobody when it is ready.
                time.sleep(0.05)
            yield {name: offered / name for name in self.names}
        finally:
            subprocess.run(["umount", offered], check=True)
            server.wait()

    def entries(self):
        """All that has reached the disks until now, in its order, without the bytes."""
        with self.log.open("rb") as log:
            while len(head := log.read(ENTRY.size)) == ENTRY.size:
                kind, disk, offset, length, moment = ENTRY.unpack(head)
                yield Entry(kind, disk, offset, length, moment, log.tell())
                log.seek(length if kind == WRITE else 0, os.SEEK_CUR)

    def restore(self, entries, directory):
        """Make the images of the disks in a directory, as they are with these entries."""
        images = []
        for name in self.names:
            copy(self.first(name), directory / name)
            images.append(os.open(directory / name, os.O_WRONLY))
        with self.log.open("rb") as log:
            for entry in entries:
                if entry.kind == WRITE:
                    os.pwrite(images[entry.disk], os.pread(log.fileno(), entry.length, entry.data), entry.offset)
        for image in images:
            os.close(image)


def kept(entries, seed):
    """What a disk with a cache of its own has kept of its entries: all that was flushed, and some of the rest."""
    chance = random.Random(seed)
    last_flush = {entry.disk: number for number, entry in enumerate(entries) if entry.kind == FLUSH}
    return [one for number, one in enumerate(entries) if number < last_flush.get(one.disk, 0) or chance.random() < 0.5]


def copy(source, destination):
    subprocess.run(["cp", "--sparse=always", source, destination], check=True)


# --- the server -------------------------------------------------------------------------------------------------------

REQUEST, ANSWER = struct.Struct("<IIQQIIIHH"), struct.Struct("<IiQ")
TRANSFER = struct.Struct("<QQIIQII")
LOOKUP, FORGET, GETATTR, SETATTR = 1, 2, 3, 4
OPEN, READ, PUT, STATFS, RELEASE, SYNC = 14, 15, 16, 17, 18, 20
CLOSE, INIT, OPENDIR, RELEASEDIR, INTERRUPT, DESTROY, FORGET_MANY = 25, 26, 27, 29, 36, 38, 42
ROOT = 1
ENOENT, ENOSYS = 2, 38
BIG_WRITES, MAX_PAGES = 1 << 5, 1 << 22
LARGEST = 1 << 20
FOR_EVER = 1 << 30


class Server:
    """Answers what the kernel asks of a directory with these disks, one request after the other."""

    def __init__(self, record, names):
        self.names = names
        self.disks = [os.open(record / f"{name}.live", os.O_RDWR) for name in names]
        self.log = (record / "log").open("wb", buffering=0)

    def attributes(self, node):
        size = os.fstat(self.disks[node - 2]).st_size if node != ROOT else 0
        mode = 0o100600 if node != ROOT else 0o40700
        return struct.pack("<6Q10I", node, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def answer(self, code, node, body):
        """Return the answer to a request: bytes, the number of an error, or None where none is expected."""
        if code == INIT:
            _, _, readahead, _ = struct.unpack_from("<4I", body)
            flags = BIG_WRITES | MAX_PAGES
            return struct.pack("<4IHHIIHHI7I", 7, 31, readahead, flags, 16, 12, LARGEST, 1, 256, 0, 0, *[0] * 7)
        if code == LOOKUP:
            name = body.rstrip(b"\0").decode()
            if name not in self.names:
                return ENOENT
            found = self.names.index(name) + 2
            return struct.pack("<4QII", found, 0, FOR_EVER, FOR_EVER, 0, 0) + self.attributes(found)
        if code in (GETATTR, SETATTR):
            return struct.pack("<QII", FOR_EVER, 0, 0) + self.attributes(node)
        if code in (OPEN, OPENDIR):
            return struct.pack("<QII", 0, 0, 0)
        if code == READ:
            _, offset, size, *_ = TRANSFER.unpack_from(body)
            return os.pread(self.disks[node - 2], size, offset)
        if code == PUT:
            _, offset, size, *_ = TRANSFER.unpack_from(body)
            data = body[TRANSFER.size :]
            os.pwrite(self.disks[node - 2], data, offset)
            self.log.write(ENTRY.pack(WRITE, node - 2, offset, size, time.time()) + data)
            return struct.pack("<II", size, 0)
        if code == SYNC:
            self.log.write(ENTRY.pack(FLUSH, node - 2, 0, 0, time.time()))
            return b""
        if code == STATFS:
            return struct.pack("<5Q4I6I", 0, 0, 0, 0, 0, 4096, 255, 4096, 0, *[0] * 6)
        if code in (FORGET, FORGET_MANY, INTERRUPT):
            return None
        return b"" if code in (RELEASE, RELEASEDIR, CLOSE, DESTROY) else ENOSYS

    def serve(self, kernel):
        while True:
            try:
                request = os.read(kernel, LARGEST + 4096)
            except OSError:
                return  # It was unmounted.
            _, code, unique, node, *_ = REQUEST.unpack_from(request)
            found = self.answer(code, node, request[REQUEST.size :])
            if isinstance(found, int):
                os.write(kernel, ANSWER.pack(ANSWER.size, -found, unique))
            elif found is not None:
                os.write(kernel, ANSWER.pack(ANSWER.size + len(found), 0, unique) + found)


def main():
    record, directory, *names = sys.argv[1:]
    server = Server(Path(record), names)
    kernel = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={kernel},rootmode=40000,user_id=0,group_id=0"
    # The kernel asks only once it is mounted.
    subprocess.run(["mount", "-i", "-t", "fuse", "-o", options, "disks", directory], pass_fds=[kernel], check=True)
    server.serve(kernel)


if __name__ == "__main__":
    main()
