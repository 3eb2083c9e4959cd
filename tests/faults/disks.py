"""Small file systems in memory, which can really be full. Nobody sees them but this process and its children.

They are mounted in a namespace of the process's own: however it ends, nothing is left mounted.
"""

import asyncio
import ctypes
import errno
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

# <sched.h> and <sys/mount.h>
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_NOSUID, MS_NODEV, MS_REC, MS_PRIVATE = 2, 4, 0x4000, 0x40000
MNT_DETACH = 2
FILLER = "filler"
_PIECES = (16 * 2**20, 2**18, 2**12)
"""Bytes by which the filler grows; the smaller ones take what is left."""
_LIBRARY = ctypes.CDLL(None, use_errno=True)


def enter_namespace() -> None:
    """Give this process, which has one thread so far, mounts of its own. Raises OSError where the system forbids it."""
    user, group = os.geteuid(), os.getegid()
    _call("unshare", CLONE_NEWNS | (CLONE_NEWUSER if user else 0))
    if user:  # it may mount in a namespace in which it stays who it is
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    with tempfile.TemporaryDirectory() as folder, Disk(Path(folder), 1).mounted():
        pass


@dataclass(frozen=True)
class Disk:
    """Is a file system of so many megabytes at a folder. It takes memory for what is on it."""

    folder: Path
    megabytes: int

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Have it for as long as the block lasts."""
        self.folder.mkdir(parents=True, exist_ok=True)
        where, options = os.fsencode(self.folder), f"size={self.megabytes}m,mode=0755".encode()
        _call("mount", b"none", where, b"tmpfs", MS_NOSUID | MS_NODEV, options)
        try:
            yield
        finally:
            _call("umount2", where, MNT_DETACH)

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        """Have no byte free for as long as the block lasts, whatever is deleted meanwhile."""
        await asyncio.to_thread(self.fill)
        filling = asyncio.create_task(self._keep_full())
        try:
            yield
        finally:
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)
            (self.folder / FILLER).unlink()

    def fill(self) -> None:
        """Take all that is free."""
        with (self.folder / FILLER).open("ab") as file:
            for piece in _PIECES:
                while _grown(file.fileno(), piece):
                    pass

    async def _keep_full(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            self.fill()  # a little at most: here no other thread could make the file again that is deleted in the end


def _grown(descriptor: int, piece: int) -> bool:
    """Make a file larger; tell whether there was room."""
    try:
        os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, piece)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return False
    return True


def _call(name: str, *given: object) -> None:
    """Call a function of the C library. Raises OSError, also where it has none of that name."""
    function = getattr(_LIBRARY, name, None)
    if function is None:
        raise OSError(errno.ENOSYS, f"there is no {name} here")
    if function(*given) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
