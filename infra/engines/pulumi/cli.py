"""The real Pulumi CLI: where it is, which version is pinned, and the environment that it is given."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from infra.errors import ConfigError, DeploymentError
from infra.stack.paths import STATE_DIRECTORY

if TYPE_CHECKING:
    from pulumi.automation import PulumiCommand

PINNED_VERSION = "3.259.0"
"""The version that ``.ci/pulumi/go.mod`` names, and that the tests run with."""
INSTALL = (
    "install it from https://www.pulumi.com/docs/iac/download-install/, or build it with Go by "
    "`.ci/pulumi/build` (about 4 minutes, once)"
)
BACKEND_URL = f"file://./{STATE_DIRECTORY}"
"""Where stacks are kept if nothing else is said; ``Pulumi.yaml`` names the same one, relative to itself."""

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


def backend_url(directory: Path, environment: Mapping[str, str] = os.environ) -> str:
    """The backend that keeps the stacks: ``PULUMI_BACKEND_URL``, else the project's own.

    Args:
        directory: The project's directory.
        environment: The environment variables.
    """
    return environment.get(_BACKEND) or f"file://{directory / STATE_DIRECTORY}"


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
    for path in Path(backend.removeprefix(_FILES)).glob(f".pulumi/stacks/*/{stack}.json.attrs"):
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


def require_passphrase(environment: Mapping[str, str] = os.environ) -> None:
    """Make sure that a passphrase is set: Pulumi's own backends encrypt secrets with it, and ask for it always.

    Raises:
        ConfigError: It is not.
    """
    if not any(name in environment for name in _PASSPHRASES):
        raise ConfigError(
            "The real Pulumi engine needs a passphrase, with which it encrypts secrets in a stack: set "
            f"{_PASSPHRASES[0]} (or {_PASSPHRASES[1]}), the same one every time. This program has no secrets: "
            "for a stack of your own an empty one will do."
        )
