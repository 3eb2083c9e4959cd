"""Makes all files beside ours first, and puts them in place at once when they are right."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from local.program import python

WRITTEN = ("docs", "schemas")
"""Where `./sliceline contracts` writes."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class NotMade(Exception):
    """What was made is not right; the message says what `./sliceline contracts` objected to."""


@contextmanager
def stage(root: Path, home: Path, texts: Mapping[str, str]) -> Iterator[Path]:
    """Make a copy of the tree that has these files, and the contracts that follow from them.

    Raises NotMade.
    """
    home.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="new-", dir=home) as made:
        copy = Path(made)
        for folder in (*WRITTEN, *_packages(root)):
            shutil.copytree(root / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy2(root / "buses.toml", copy)
        for name, text in texts.items():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_text(text)
        _write_contracts(copy)
        yield copy


def changes(root: Path, copy: Path) -> list[str]:
    """List the files of the copy that are not as they are in the tree.

    Those that are there already come last.
    """
    files = (path.relative_to(copy) for path in sorted(copy.rglob("*")) if path.is_file())
    changed = [path for path in files if "__pycache__" not in path.parts and _differs(root / path, copy / path)]
    return [str(path) for path in sorted(changed, key=lambda path: (root / path).exists())]


def put_in_place(root: Path, copy: Path, files: Sequence[str]) -> None:
    """Move files from the copy into the tree: all of them, or none when one cannot be moved."""
    with tempfile.TemporaryDirectory(prefix="old-", dir=copy) as kept, _uninterrupted():
        moved: list[str] = []
        try:
            for name in files:
                _keep(root / name, Path(kept) / name)
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                moved.append(name)
                os.replace(copy / name, root / name)
        except OSError:
            for name in reversed(moved):
                _take_back(root, name, Path(kept))
            raise


def _packages(root: Path) -> list[str]:
    return [file.parent.name for file in root.glob("[a-z]*/__init__.py")]


def _write_contracts(copy: Path) -> None:
    done = subprocess.run(  # noqa: S603 (our command)
        python("-m", "cli", "contracts"),
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise NotMade((done.stderr or done.stdout).strip())


def _differs(ours: Path, made: Path) -> bool:
    return not ours.exists() or ours.read_bytes() != made.read_bytes()


def _keep(path: Path, kept: Path) -> None:
    if path.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, kept)


def _take_back(root: Path, name: str, kept: Path) -> None:
    path = root / name
    if (kept / name).exists():
        os.replace(kept / name, path)
        return
    path.unlink(missing_ok=True)
    for folder in path.parents:
        if folder == root or any(folder.iterdir()):
            return
        folder.rmdir()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore signals that would end us in the middle of the block.

    It takes milliseconds.
    """
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
