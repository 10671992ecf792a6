"""Where things are: the project's root, and what a stack leaves under ``.queue-fundamentals/<stack>/``."""

import re
from dataclasses import dataclass
from pathlib import Path

from infra.errors import StateError
from infra.stack.names import directory_name, short_name

STATE_DIRECTORY = ".queue-fundamentals"
PROJECT_FILE = "Pulumi.yaml"
OUR_PROJECT = "queue-fundamentals"
_OUR_VALUE = "queueVisibilityTimeout:"
_PROJECT_NAME = re.compile(r"""^name:[ \t]*["']?([^"'\s#]+)""", re.MULTILINE).search


def project_root() -> Path:
    """The nearest directory with our ``Pulumi.yaml``, from the working directory upwards, else this checkout's own.

    Installed as a package there is no checkout; then it is the working directory.

    Raises:
        StateError: The working directory has been deleted.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise StateError("The working directory is not there any more; change to another one.") from None
    for directory in (here, *here.parents):
        if (directory / PROJECT_FILE).is_file() and foreign_project(directory) is None:
            return directory
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / PROJECT_FILE).is_file() else here


def project_file() -> Path:
    """The project's ``Pulumi.yaml``: its root's, else the one that the package carries."""
    root = project_root()
    path = root / PROJECT_FILE
    ours = path.is_file() and foreign_project(root) is None
    return path if ours else Path(__file__).resolve().parents[1] / PROJECT_FILE


def foreign_project(directory: Path) -> str | None:
    """The name of another Pulumi project whose file is in a directory: its stacks and files are not ours.

    A file that cannot be read, or names no project, is taken for ours: its reader then says what is wrong with it.
    """
    try:
        text = (directory / PROJECT_FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    name = _PROJECT_NAME(text)
    # A copy of ours may have another name, and declares what the program reads all the same.
    return name[1] if name and name[1] != OUR_PROJECT and _OUR_VALUE not in text else None


@dataclass(frozen=True, slots=True)
class StackPaths:
    """The files of one stack.

    Attributes:
        directory: The stack's own directory; ``down`` removes it.
    """

    directory: Path

    @property
    def state(self) -> Path:
        """What was deployed last."""
        return self.directory / "state.json"

    @property
    def services(self) -> Path:
        """What the stack's outputs tell the services, by scenario; ``services.stacks`` reads it."""
        return self.directory / "services.json"

    @property
    def creations(self) -> Path:
        """What the real engine's run has begun to create, until it comes to its end."""
        return self.directory / "creations.jsonl"

    @property
    def target(self) -> Path:
        """Where the stack is deployed, and by which engine."""
        return self.directory / "target.json"

    @property
    def endpoint(self) -> Path:
        """Where the embedded endpoint is, and which process it is."""
        return self.directory / "endpoint.json"

    @property
    def history(self) -> Path:
        """The embedded endpoint's own history."""
        return self.directory / "endpoint.history.jsonl"

    @property
    def log(self) -> Path:
        """What the embedded endpoint prints."""
        return self.directory / "endpoint.log"

    @property
    def ready(self) -> Path:
        """Where the embedded endpoint tells its address once it listens."""
        return self.directory / "endpoint.ready"

    @property
    def lock(self) -> Path:
        """Held by the process that is at work on the stack."""
        return self.directory / "lock"


def state_directory() -> Path:
    """The directory with one subdirectory a stack; it need not be there yet.

    Raises:
        StateError: Something else has its name.
    """
    directory = project_root() / STATE_DIRECTORY
    if directory.exists() and not directory.is_dir():
        raise StateError(
            f"{directory} is a file, and the state of each stack needs a directory of that name; move it away."
        )
    return directory


def stack_paths(stack: str) -> StackPaths:
    """The files of a stack, whether it exists or not."""
    return StackPaths(state_directory() / directory_name(stack))


def stack_config_path(stack: str) -> Path:
    """The stack's own configuration file, as Pulumi names it; beside another project's, that name is a file of its."""
    root = project_root()
    directory = root if foreign_project(root) is None else root / STATE_DIRECTORY
    return directory / f"Pulumi.{short_name(stack)}.yaml"
