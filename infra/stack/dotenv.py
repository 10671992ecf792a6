"""The ``.env`` file: what ``up`` writes there for services that are run by hand, beside the user's own lines."""

import os
from collections.abc import Mapping
from pathlib import Path

from infra.errors import ConfigError
from infra.files import write_atomically


def read_dotenv(path: Path) -> dict[str, str]:
    """The variables in a ``.env`` file; empty if there is none."""
    return {key: value for line in _lines(path) if (key := _key_of(line)) for value in [line.partition("=")[2]]}


def write_dotenv(path: Path, variables: Mapping[str, str]) -> None:
    """Set variables in a ``.env`` file, all at once or not at all; other lines, its permissions and a link stay."""
    kept = [line for line in _lines(path) if _key_of(line) not in variables]
    text = "\n".join([*kept, *(f"{key}={value}" for key, value in variables.items())])
    write_atomically(path, text + "\n")


def clear_dotenv(path: Path, variables: Mapping[str, str]) -> None:
    """Take variables out of a ``.env`` file if they have just these values; the file goes when nothing is left.

    Another stack's values stay: they were written later.
    """
    present = read_dotenv(path)
    if not variables or any(present.get(key) != value for key, value in variables.items()):
        return
    kept = [line for line in _lines(path) if _key_of(line) not in variables]
    if kept:
        write_atomically(path, "\n".join(kept) + "\n")
    else:
        path.unlink()


def _lines(path: Path) -> list[str]:
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise ConfigError(f"{path} is no file; move it away.")
    # realpath stops at a circle of links, which the reader then names.
    if path.is_symlink() and not Path(os.path.realpath(path)).parent.is_dir():
        raise ConfigError(f"{path} is a link to {path.readlink()}, whose directory is not there; mend or remove it.")
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as text ({error}); mend it or move it away.") from None


def _key_of(line: str) -> str:
    key, separator, _ = line.partition("=")
    return key.strip() if separator and not line.lstrip().startswith("#") else ""
