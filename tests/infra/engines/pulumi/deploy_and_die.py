"""Deploys a small stack by the real engine in a process that is killed at a given request to the provider.

Called with: operation, stack, visibility timeout, endpoint's URL, project directory, and the point: method, before or
after, which one of them, and whether the CLI is killed as well (``both``) or left alone (``self``).
"""

import os
import signal
import sys
import threading
from pathlib import Path

from infra.engines.engine import Deployment
from infra.engines.pulumi.engine import PulumiEngine, PulumiSettings
from infra.provider.servicer import AwsServicer
from tests.infra.engines.pulumi.labs import PROJECT
from tests.infra.engines.pulumi.topology import QueueEntry, program_of


def main(arguments):
    operation, stack, timeout, url, directory, method, moment, nth, victims = arguments
    die_at(method, moment, int(nth), victims)
    settings = PulumiSettings(Path(directory), f"file://{directory}/backend")
    program = program_of([QueueEntry("e", visibility_timeout=int(timeout))])
    getattr(PulumiEngine(Deployment(PROJECT, stack, program, endpoint_url=url), settings), operation)()


def die_at(method, moment, nth, victims):
    answer = getattr(AwsServicer, method)
    lock = threading.Lock()
    calls = 0

    def die():
        if victims == "both":
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    def deadly(self, request, context):
        nonlocal calls
        if getattr(request, "preview", False):
            return answer(self, request, context)
        with lock:
            calls += 1
            mine = calls
        if moment == "before" and mine == nth:
            die()
        response = answer(self, request, context)
        if moment == "after" and mine == nth:
            die()
        return response

    setattr(AwsServicer, method, deadly)


if __name__ == "__main__":
    main(sys.argv[1:])
