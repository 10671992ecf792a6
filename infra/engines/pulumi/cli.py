"""The real Pulumi CLI: where it is, which version is pinned, and the environment that it is given."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from infra.errors import ConfigError, DeploymentError
from infra.stack.names import TEMPORARY_PREFIX, short_name
from infra.stack.paths import PROJECT_FILE, STATE_DIRECTORY

if TYPE_CHECKING:
    from pulumi.automation import PulumiCommand

PINNED_VERSION = "3.259.0"
"""The version that ``.ci/pulumi/go.mod`` names, and that the tests run with."""
INSTALL = (
    "install it from https://www.pulumi.com/docs/iac/download-install/, or build it with Go by "
    "`.ci/pulumi/build` (about 4 minutes, once)"
)
_FILES = "file://"
_BACKEND = "PULUMI_BACKEND_URL"
_PASSPHRASES = ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE")


@dataclass(frozen=True, slots=True)
class PulumiCli:
    """A CLI that was found.

    Attributes:
        path: The executable.
        root: Its installation's root if it is not the one on PATH, else None.
    """

    path: Path
    root: Path | None = None

    @cache  # noqa: B019 - frozen, and as many as there are CLIs on a machine
    def command(self) -> "PulumiCommand":
        """The Automation API's handle of it, which makes sure that it is recent enough: a call of the CLI, made once.

        Raises:
            DeploymentError: It is too old, or does not run.
        """
        from pulumi.automation import InvalidVersionError, PulumiCommand  # noqa: PLC0415 - heavy

        try:
            return PulumiCommand(root=None if self.root is None else str(self.root))
        except (InvalidVersionError, OSError, ValueError) as error:
            raise DeploymentError(
                f"The Pulumi CLI {self.path} cannot be used: {error} To get another: {INSTALL}."
            ) from (error)


def find_cli() -> PulumiCli:
    """The CLI on PATH, else the one that ``.ci/pulumi/build`` has built.

    Raises:
        DeploymentError: There is none.
    """
    on_path = shutil.which("pulumi")
    if on_path is not None:
        return PulumiCli(Path(on_path))
    root = built_root()
    if (root / "bin" / "pulumi").is_file():
        return PulumiCli(root / "bin" / "pulumi", root)
    raise DeploymentError(f"The Pulumi CLI is not installed: {INSTALL}; or use the embedded engine.")


def built_root() -> Path:
    """Where ``.ci/pulumi/build`` puts the CLI."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "queue-fundamentals" / f"pulumi-{PINNED_VERSION}"


def backend_url(directory: Path, environment: Mapping[str, str] = os.environ, *, stack: str = "") -> str:
    """The backend that keeps the stacks: the one that ``pulumi`` itself would take, else the project's own.

    The CLI takes ``PULUMI_BACKEND_URL``, else the project file's, else the one of the last ``pulumi login``.

    Args:
        directory: The project's directory.
        environment: The environment variables.
        stack: The stack's name: temporary ones are always in the project's own backend.
    """
    own = f"{_FILES}{directory / STATE_DIRECTORY}"
    if short_name(stack).startswith(TEMPORARY_PREFIX):
        return own
    return _absolute(environment.get(_BACKEND) or _project_backend(directory) or _login(environment) or own, directory)


def _absolute(url: str, directory: Path) -> str:
    """A URL of files with its path as the CLI resolves it when it is called in the project's directory."""
    if not url.startswith(_FILES):
        return url.rstrip("/")
    path = Path(url.removeprefix(_FILES)).expanduser()
    return f"{_FILES}{os.path.normpath(directory / path)}"


def _project_backend(directory: Path) -> str | None:
    text = _text_of(directory / PROJECT_FILE)
    if "backend" not in text:
        return None  # the usual case, in which nothing has to be parsed
    import yaml  # noqa: PLC0415 - heavy

    try:
        backend = yaml.safe_load(text).get("backend")
    except (yaml.YAMLError, AttributeError):
        return None  # the reader of the project file says what is wrong with it
    url = backend.get("url") if isinstance(backend, dict) else None
    return url if isinstance(url, str) else None


def _login(environment: Mapping[str, str]) -> str | None:
    """The backend of the last ``pulumi login``: its URL is all that is read here."""
    home = Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi")
    try:
        current = json.loads(_text_of(home / "credentials.json") or "{}").get("current")
    except (ValueError, AttributeError):
        return None
    return current if isinstance(current, str) and current else None


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def may_hold(backend: str, project: str, stack: str) -> bool:
    """Whether a backend may have a stack. Of one in files that is known without a call of the CLI.

    Args:
        backend: The backend's URL.
        project: The project's name.
        stack: The stack's name.
    """
    if not backend.startswith(_FILES):
        return True
    stacks = Path(backend.removeprefix(_FILES)) / ".pulumi" / "stacks"
    names = (f"{short_name(stack)}.json", f"{short_name(stack)}.json.gz")
    return any((directory / name).exists() for directory in (stacks / project, stacks) for name in names)


def drop_cut_attributes(backend: str, stack: str) -> None:
    """Remove the file of a state's attributes if a CLI that was killed has left it empty or cut.

    A backend in files keeps a state's content type and the like in a file of their own, written in place. The state
    itself is replaced as a whole; but the CLI reads nothing where the attributes are cut, and does without them where
    they are gone.

    Args:
        backend: The backend's URL; one that is not in files has no such file.
        stack: The stack's name.
    """
    if not backend.startswith(_FILES):
        return
    for path in Path(backend.removeprefix(_FILES)).glob(f".pulumi/stacks/*/{short_name(stack)}.json.attrs"):
        try:
            json.loads(path.read_bytes())
        except FileNotFoundError:
            continue  # another CLI has taken it away
        except ValueError:
            path.unlink(missing_ok=True)


def cli_environment(backend: str, *, serve_provider: bool = True) -> dict[str, str]:
    """The environment of the CLI: this process's own, and what the engine is told.

    Args:
        backend: The backend's URL.
        serve_provider: Whether the provider is served, so that no plugin is wanted.
    """
    environment = {**os.environ, _BACKEND: backend, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    if serve_provider:
        # The provider is there already; without this the engine looks for its plugin on the network for seconds.
        environment["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    return environment


def needs_passphrase(backend: str, stack_file: Path) -> bool:
    """Whether a stack's secrets are encrypted with a passphrase, which the CLI then always asks for.

    Pulumi Cloud encrypts them itself, and so does a secrets provider that the stack's file names.

    Args:
        backend: The backend's URL.
        stack_file: The stack's configuration file.
    """
    if backend.startswith(("https://", "http://")):
        return False
    provider = re.search(r"(?m)^secretsprovider:\s*['\"]?([^\s'\"]+)", _text_of(stack_file))
    return provider is None or provider[1] == "passphrase"


def require_passphrase(backend: str, stack_file: Path, environment: Mapping[str, str] = os.environ) -> None:
    """Make sure that a passphrase is set where one is needed.

    Raises:
        ConfigError: It is not.
    """
    if needs_passphrase(backend, stack_file) and not any(name in environment for name in _PASSPHRASES):
        raise ConfigError(
            "The real Pulumi engine needs a passphrase, with which it encrypts secrets in a stack: set "
            f"{_PASSPHRASES[0]} (or {_PASSPHRASES[1]}), the same one every time. This program has no secrets: "
            "for a stack of your own an empty one will do."
        )
