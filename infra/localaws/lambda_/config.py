"""How a function is set up, and the command that runs its code."""

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from infra.localaws.lambda_.errors import InvalidParameterValue
from infra.localaws.lambda_.limits import DEFAULT_MEMORY_MB, DEFAULT_TIMEOUT_SECONDS

PYTHON: Final = "python"
NODE: Final = "nodejs"
PROVIDED: Final = "provided"
BOOTSTRAP: Final = "bootstrap"
NODE_LOOP: Final = Path(__file__).with_name("node_runtime.mjs")
LATEST: Final = "$LATEST"
RUNTIMES: Final = {
    "python": f"python{sys.version_info.major}.{sys.version_info.minor}",
    "node": "nodejs20.x",
    "provided": "provided.al2023",
}
"""AWS's names of the runtimes, by the names that a command line has for them."""


@dataclass(frozen=True, slots=True)
class FunctionConfig:
    """The settings of a function.

    Attributes:
        name: its name.
        arn: its ARN.
        runtime: AWS's name of it: a Python, a Node.js, or ``provided`` for a program that speaks the Runtime API.
        handler: ``module.function``; a program's own affair for ``provided``.
        directory: where its code lies.
        timeout: seconds.
        memory: MB; told to the function, and not enforced.
        variables: its own environment variables.
        program: what the runtime ``provided`` runs; None for the file ``bootstrap`` in the directory.
        inherits: whether it sees the endpoint's environment variables as well, as daily work at a desk wants it.
    """

    name: str
    arn: str
    runtime: str
    handler: str
    directory: Path
    timeout: int = DEFAULT_TIMEOUT_SECONDS
    memory: int = DEFAULT_MEMORY_MB
    variables: dict[str, str] = field(default_factory=dict)
    program: Path | None = None
    inherits: bool = False

    @property
    def region(self) -> str:
        """AWS's name of its region."""
        return self.arn.split(":")[3]

    @property
    def log_group(self) -> str:
        """The log group that it writes to."""
        return f"/aws/lambda/{self.name}"


def runtime_of(handler: str, kind: str | None, code: Path) -> tuple[str, Path | None]:
    """Return AWS's name of the runtime that runs a handler, and the program where the handler is one.

    Args:
        handler: ``module.function``, or the path of a program.
        kind: a name of ``RUNTIMES``; None tells it by the handler's form.
        code: where the handler's code lies.
    """
    path = Path(handler)
    is_program = kind == "provided" or (kind is None and "/" in handler and (code / path).exists())
    runtime = RUNTIMES[kind or ("provided" if is_program else "python")]
    return runtime, (code / path).resolve() if is_program else None


def command_of(config: FunctionConfig) -> list[str]:
    """Return the command that runs a function.

    Raises:
        InvalidParameterValue: its runtime cannot be run here; the message says what to do.
    """
    if config.runtime.startswith(PYTHON):
        if importlib.util.find_spec("awslambdaric") is None:
            raise InvalidParameterValue(
                "A Python handler is run by awslambdaric, which is not installed: pip install "
                "'queue-fundamentals[lambda]'."
            )
        return [sys.executable, "-m", "awslambdaric", config.handler]
    if config.runtime.startswith(NODE):
        node = shutil.which("node")
        if node is None:
            raise InvalidParameterValue("A Node.js handler needs the program node on the PATH, and there is none.")
        return [node, str(NODE_LOOP), config.handler]
    if config.runtime.startswith(PROVIDED):
        return [str(_executable(config.program or config.directory / BOOTSTRAP))]
    raise InvalidParameterValue(
        f"This endpoint runs the runtimes python3.x, nodejs and provided, not {config.runtime!r}; a program that "
        "speaks the Runtime API is a bootstrap of the runtime provided.al2023."
    )


def access_key_of(stream: str) -> str:
    """Return an environment's access key id, which no other has, as at AWS; it opens nothing here."""
    return f"ASIA{''.join(letter for letter in stream if letter.isalnum())[-16:].upper():0>16}"


def environment_of(config: FunctionConfig, api: str, endpoint_url: str, stream: str, scratch: Path) -> dict[str, str]:
    """Return the environment variables of a function's process.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html

    Args:
        config: the function.
        api: host and port of the Runtime API.
        endpoint_url: where the AWS SDKs are to go.
        stream: the name of the log stream.
        scratch: a directory of the environment's own for temporary files.
    """
    kept = os.environ if config.inherits else {name: os.environ[name] for name in _BASE if name in os.environ}
    return {
        **{name: value for name, value in kept.items() if not name.startswith("AWS_")},
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "TMPDIR": str(scratch),
        # AWS's own code directory is read-only; and what is compiled here could hide a change of the same second.
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_ACCESS_KEY_ID": access_key_of(stream),
        "AWS_SECRET_ACCESS_KEY": "dummy",
        "AWS_SESSION_TOKEN": "dummy",
        "AWS_EC2_METADATA_DISABLED": "true",
        **({"AWS_ENDPOINT_URL": endpoint_url} if endpoint_url else {}),
        **config.variables,
        "AWS_LAMBDA_RUNTIME_API": api,
        "_HANDLER": config.handler,
        "LAMBDA_TASK_ROOT": str(config.directory),
        "LAMBDA_RUNTIME_DIR": str(config.directory),
        "AWS_LAMBDA_FUNCTION_NAME": config.name,
        "AWS_LAMBDA_FUNCTION_VERSION": LATEST,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.memory),
        "AWS_LAMBDA_LOG_GROUP_NAME": config.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.runtime}",
        "AWS_REGION": config.region,
        "AWS_DEFAULT_REGION": config.region,
    }


def _executable(path: Path) -> Path:
    if not path.is_file():
        raise InvalidParameterValue(f"The function's code has no {path.name} at its root; {path} is not a file.")
    if not os.access(path, os.X_OK):
        raise InvalidParameterValue(f"The function's {path.name} is not executable: chmod +x {path}.")
    return path


_BASE: Final = ("PATH", "HOME", "USER", "SYSTEMROOT", "LD_LIBRARY_PATH")
