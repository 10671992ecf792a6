"""Prints the table of actions by client for docs/endpoint.md: ``python -m tests.clients.table``."""

import sys

from infra.localaws.config import EndpointConfig
from infra.localaws.server import running_endpoint
from infra.localaws.sqs.rates import STRICT
from infra.localaws.sqs.wire import ACTIONS
from tests.clients.client import CLIENTS, HOW_TO_INSTALL
from tests.clients.walk import walk


def main():
    with running_endpoint(EndpointConfig(rates=STRICT)) as endpoint:
        columns = {client: _walked(client, endpoint.url, number) for number, client in enumerate(CLIENTS)}
    titles = [f"{client.name} ({client.protocol})" for client in columns]
    rows = [["action", *titles], ["---", *["---"] * len(titles)]]
    rows += [[f"`{action}`", *("yes" if action in done else "no" for done in columns.values())] for action in ACTIONS]
    sys.stdout.write("".join(f"| {' | '.join(row)} |\n" for row in rows))
    return 0 if all(set(done) == ACTIONS.keys() for done in columns.values()) else 1


def _walked(client, url, number):
    if client.directory is None:
        sys.stderr.write(f"{client.name} is not installed; {HOW_TO_INSTALL}\n")
        return []
    with client.started(url) as call:
        return walk(call, f"table-{number}")


if __name__ == "__main__":
    sys.exit(main())
