"""A real client as a process of its own that performs calls of SQS's actions, one JSON line each way."""

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "queue-fundamentals" / "clients"
HOW_TO_INSTALL = "run .ci/clients to install the clients"
#: What a client inherits: neither a developer's AWS settings nor this project's.
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")


class Refused(Exception):  # noqa: N818 - what a client reports, not a fault of it
    """The endpoint refused a call; ``code`` is the error's code as the client reports it."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Client:
    """How a client is started.

    ``package`` is the prefix of its directory in the cache, None for what comes with the project's own environment.
    """

    name: str
    protocol: str
    package: str | None
    arguments: tuple[str, ...]

    @property
    def directory(self):
        """Where it is installed, None if it is not."""
        if self.package is None:
            return HERE
        return next((path for path in sorted(CACHE.glob(f"{self.package}-*")) if self._is_current(path)), None)

    @property
    def version(self):
        """The installed version of what the project does not bring along."""
        return self.directory.name.removeprefix(f"{self.package}-").partition("-")[0]

    def _is_current(self, path):
        """Return whether this is the version that the installing script names; several may lie side by side."""
        script = (HERE.parent.parent / ".ci" / "clients").read_text()
        pinned = re.search(rf"^{self.package}=(\S+)$", script, re.MULTILINE)
        return pinned is None or path.name == f"{self.package}-{pinned[1]}"

    @contextmanager
    def started(self, endpoint):
        """Run it against an endpoint; yields a function that performs a call and returns the output's shape."""
        command = [part.format(directory=self.directory, here=HERE, endpoint=endpoint) for part in self.arguments]
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment |= {
            "AWS_ACCESS_KEY_ID": "dummy",
            "AWS_SECRET_ACCESS_KEY": "dummy",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, bufsize=1
        ) as process:

            def call(action, **parameters):
                process.stdin.write(json.dumps({"action": action, "input": parameters}) + "\n")
                line = process.stdout.readline()
                assert line, f"{self.name} has ended"
                answer = json.loads(line)
                assert answer.get("protocol", self.protocol.lower()) == self.protocol.lower()
                if "error" in answer:
                    raise Refused(answer["error"])
                return _lower(answer["output"])

            yield call
            process.stdin.close()


def _lower(output):
    """Let the members of the answer itself be found by their names' lower case: SDKs differ in their first letters."""
    return {name.lower(): value for name, value in (output or {}).items()}


CLIENTS = (
    Client("boto3, current", "JSON", None, (sys.executable, "{here}/python/walk_botocore.py", "{endpoint}")),
    Client(
        "botocore 1.31",
        "Query",
        "botocore",
        ("{directory}/bin/python", "{here}/python/walk_botocore.py", "{endpoint}"),
    ),
    Client("AWS CLI", "JSON", "awscli", ("{directory}/bin/python", "{here}/python/walk_awscli.py", "{endpoint}")),
    Client("Node SDK", "JSON", "node", ("node", "{here}/node/walk.mjs", "{endpoint}", "{directory}")),
    Client("Go SDK", "JSON", "go", ("{directory}/walk", "{endpoint}")),
)
