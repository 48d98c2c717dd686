"""Captured bodies on disk: a folder of JSON files, or a tar archive of them; their times stand in their names."""

from __future__ import annotations

import re
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from llmhive.errors import UsageError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_NAME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{6}Z).*\.json")
_HINT = "A capture is a file named YYYY-MM-DDTHHMMSSZ….json, by the time (UTC) at which it was fetched."


@dataclass(frozen=True, slots=True)
class Captured:
    """One captured body."""

    at: datetime  #: when it was fetched, by its name
    name: str  #: of its file
    content: bytes
    done: int  #: how much of the whole is read with it
    whole: int  #: in the same unit: files of a folder, bytes of an archive


def captured(path: Path) -> Iterator[Captured]:
    """The captured bodies of a folder (with its subfolders), an archive (``.tar``, also ``.zst``, ``.gz``, ``.xz``,
    ``.bz2``) or one file; a folder's in the order of their times, an archive's in its own.

    Files with other names are left out. Raises `UsageError` where there is none, or it cannot be read.
    """
    try:
        if path.is_dir():
            yield from _folder(path)
        elif time_of(path.name) is not None:
            yield Captured(_known(path.name), path.name, path.read_bytes(), 1, 1)
        else:
            yield from _archive(path)
    except (OSError, EOFError, tarfile.TarError, zstd.ZstdError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"Cannot read {path}: {reason}.") from error


def time_of(name: str) -> datetime | None:
    """The time a file's name tells, None where it tells none."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1], "%Y-%m-%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _known(name: str) -> datetime:
    at = time_of(name)
    assert at is not None
    return at


def _folder(path: Path) -> Iterator[Captured]:
    files = sorted(
        (at, file.name, file) for file in path.rglob("*.json") if (at := time_of(file.name)) and file.is_file()
    )
    if not files:
        raise UsageError(f"No captures in {path}. {_HINT}")
    for position, (at, name, file) in enumerate(files, start=1):
        yield Captured(at, name, file.read_bytes(), position, len(files))


def _archive(path: Path) -> Iterator[Captured]:
    size, found = path.stat().st_size, False
    with path.open("rb") as file, _unpacked(file, path.name) as unpacked, _opened(unpacked, path) as archive:
        for member in archive:
            at = time_of(Path(member.name).name)
            content = archive.extractfile(member) if at is not None else None
            if at is not None and content is not None:
                found = True
                yield Captured(at, Path(member.name).name, content.read(), min(file.tell(), size), size)
    if not found:
        raise UsageError(f"No captures in {path}. {_HINT}")


def _opened(unpacked: Any, path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=unpacked, mode="r|*")
    except tarfile.ReadError as error:
        raise UsageError(f"{path} is neither a folder nor an archive of captures. {_HINT}") from error


@contextmanager
def _unpacked(file: IO[bytes], name: str) -> Iterator[Any]:
    if not name.endswith((".zst", ".zstd")):
        yield file
        return
    # archives are packed with long windows
    window = {int(zstd.DecompressionParameter.window_log_max): zstd.DecompressionParameter.window_log_max.bounds()[1]}
    with zstd.open(file, "rb", options=window) as unpacked:
        yield unpacked
