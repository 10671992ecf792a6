"""A function's code: a zip archive, unpacked into a directory of its own."""

import base64
import binascii
import hashlib
import io
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from infra.localaws.lambda_.errors import InvalidParameterValue
from infra.localaws.lambda_.limits import MAX_UNZIPPED_BYTES

_UNREADABLE: Final = "Could not unzip uploaded file. Please check your file, then try to upload again."


@dataclass(frozen=True, slots=True)
class Code:
    """Unpacked code: where it lies, the archive's digest in base64, and its size in bytes."""

    directory: Path
    sha256: str
    size: int


def unpack(encoded: Any, directory: Path) -> Code:
    """Unpack a zip archive that a request carries in base64.

    Raises:
        InvalidParameterValue: it is no archive, would leave the directory, or is too large.
    """
    try:
        data = base64.b64decode(encoded, validate=True)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check(archive)
            directory.mkdir(parents=True)
            for member in archive.infolist():
                path = Path(archive.extract(member, directory))
                mode = member.external_attr >> 16 & 0o777
                if mode and not member.is_dir():
                    path.chmod(mode | stat.S_IRUSR)
    except (binascii.Error, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        raise InvalidParameterValue(_UNREADABLE) from None
    return Code(directory, base64.b64encode(hashlib.sha256(data).digest()).decode(), len(data))


def _check(archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    if sum(member.file_size for member in members) > MAX_UNZIPPED_BYTES:
        raise InvalidParameterValue(f"Unzipped size must be smaller than {MAX_UNZIPPED_BYTES} bytes")
    for member in members:
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or stat.S_ISLNK(member.external_attr >> 16):
            raise InvalidParameterValue(_UNREADABLE)
