"""The bucket of one history as a program sees it: S3 by moto, in this very process, over the simulation's own objects.

Producers of the simulation put their payloads into plain state. An object passes into S3 when a request asks for it,
and what a request changes there passes back.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote

from infra.localaws.http import Request, Response
from infra.localaws.s3 import S3
from infra.localaws.sqs.model import ACCOUNT
from scenarios.local.observed_exchange import Request as ObservedRequest
from scenarios.simulation.objects import ObjectModel

#: Moto takes a request without a signature for a stranger's; it does not check one.
_SIGNED: Final = "AWS4-HMAC-SHA256 Credential=lab/20260101/us-west-1/s3/aws4_request"
_CHANGES: Final = frozenset({"DELETE", "POST", "PUT"})


class Bucket:
    """One bucket.

    Args:
        region: AWS's name of its region.
        name: what it is called.
        objects: what is in it, as the simulation knows it.
    """

    def __init__(self, region: str, name: str, objects: ObjectModel) -> None:
        self.name = name
        self._objects = objects
        self._host = f"s3.{region}.amazonaws.com"
        if (region, name) not in _made:
            _made[region, name] = S3(ACCOUNT, region), {}
            self._s3, self._known = _made[region, name]
            there = f"<LocationConstraint>{region}</LocationConstraint>"
            self._ask("PUT", f"/{name}", f"<CreateBucketConfiguration>{there}</CreateBucketConfiguration>".encode())
        self._s3, self._known = _made[region, name]

    def has(self, path: str) -> bool:
        """Tell whether a path is the bucket's, or that of an object in it."""
        return path.partition("?")[0].rstrip("/") == f"/{self.name}" or path.startswith(f"/{self.name}/")

    def answer(self, request: ObservedRequest) -> Response:
        """Let a request take effect."""
        key = unquote(request.path.partition("?")[0]).removeprefix(f"/{self.name}").removeprefix("/")
        keys = [key] if key else sorted({*self._objects.objects, *self._known})
        for each in keys:
            self._bring(each)
        headers = {**request.headers, "host": self._host}
        answer = self._s3.answer(Request(request.method, request.path, headers, request.body))
        if request.method in _CHANGES:
            for each in keys:
                self._take_back(each)
        return answer

    def _bring(self, key: str) -> None:
        text = self._objects.objects.get(key)
        if text == self._known.get(key):
            return
        if text is None:
            del self._known[key]
            self._ask("DELETE", self._path(key))
        else:
            self._known[key] = text
            self._ask("PUT", self._path(key), text.encode())

    def _take_back(self, key: str) -> None:
        there = self._ask("GET", self._path(key))
        if there.status == 200:  # noqa: PLR2004 - S3's word for "here it is"
            self._known[key] = self._objects.objects[key] = there.body.decode(errors="replace")
        else:
            self._known.pop(key, None)
            self._objects.objects.pop(key, None)

    def _path(self, key: str) -> str:
        return f"/{self.name}/{quote(key)}"

    def _ask(self, method: str, target: str, body: bytes = b"") -> Response:
        headers = {"host": self._host, "content-length": str(len(body)), "authorization": _SIGNED}
        return self._s3.answer(Request(method, target, headers, body))


#: By region and name: a bucket, and what was put into it, by key. Moto knows a name once in a process, so histories
#: share the bucket; what an earlier one has left there goes when it is asked for.
_made: dict[tuple[str, str], tuple[S3, dict[str, str]]] = {}
