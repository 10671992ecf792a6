"""The content of an archive: its files, their hash, and the zip file that is uploaded."""

import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from infra.errors import ProviderError
from infra.provider.values import Archive

# https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT knows no earlier moment; the same content is the same zip.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_LEFT_OUT = frozenset({"__pycache__", ".git", ".DS_Store"})


class File(NamedTuple):
    """A file of an archive: its name there, its content, and whether it can be executed."""

    name: str
    content: bytes
    executable: bool


def content_hash(archive: Archive) -> str:
    """The SHA-256 of an archive's files, as hexadecimal digits.

    Raises:
        ProviderError: A file is not there.
    """
    if (path := _zip_file(archive)) is not None:
        return hashlib.sha256(_read(path)).hexdigest()
    digest = hashlib.sha256()
    for name, content, executable in files(archive):
        digest.update(f"{name}\0{len(content)}\0{int(executable)}\0".encode() + content)
    return digest.hexdigest()


def zip_bytes(archive: Archive) -> bytes:
    """The zip file of an archive; one that is a zip file already is taken as it is.

    Raises:
        ProviderError: A file is not there.
    """
    if (path := _zip_file(archive)) is not None:
        return _read(path)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content, executable in files(archive):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = (0o755 if executable else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(entry, content)
    return data.getvalue()


def files(archive: Archive) -> Iterator[File]:
    """The files of an archive that is no zip file, by name.

    Raises:
        ProviderError: A file is not there.
    """
    if archive.path is None:
        for name, asset in archive.assets:
            if asset.path is None:
                yield File(name, (asset.text or "").encode(), executable=False)
            else:
                yield _file(name, Path(asset.path))
        return
    root = Path(archive.path)
    if not root.is_dir():
        raise ProviderError(f"There is no code at {root}: it has to be a zip file or a directory.")
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if path.is_file() and _LEFT_OUT.isdisjoint(relative.parts):
            yield _file(relative.as_posix(), path)


def _zip_file(archive: Archive) -> Path | None:
    path = None if archive.path is None else Path(archive.path)
    return path if path is not None and path.is_file() else None


def _file(name: str, path: Path) -> File:
    content = _read(path)
    return File(name, content, executable=bool(path.stat().st_mode & 0o100))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ProviderError(f"The code's file {path} cannot be read: {error.strerror}.") from None
