"""Where things are: the project's root, and what a stack leaves under ``.queue-fundamentals/<stack>/``."""

from dataclasses import dataclass
from pathlib import Path

from infra.errors import StateError
from infra.stack.names import directory_name, short_name

STATE_DIRECTORY = ".queue-fundamentals"
PROJECT_FILE = "Pulumi.yaml"


def project_root() -> Path:
    """The nearest directory with ``Pulumi.yaml``, from the working directory upwards, else this checkout's own.

    Installed as a package there is no checkout; then it is the working directory.
    """
    here = Path.cwd()
    for directory in (here, *here.parents):
        if (directory / PROJECT_FILE).is_file():
            return directory
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / PROJECT_FILE).is_file() else here


def project_file() -> Path:
    """The project's ``Pulumi.yaml``: its root's, else the one that the package carries."""
    path = project_root() / PROJECT_FILE
    return path if path.is_file() else Path(__file__).resolve().parents[1] / PROJECT_FILE


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
    """The stack's own configuration file, as Pulumi names it."""
    return project_root() / f"Pulumi.{short_name(stack)}.yaml"
