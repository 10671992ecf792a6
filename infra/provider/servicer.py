"""The provider as a gRPC service in Pulumi's own protocol: how the real engine reaches what the embedded one calls.

https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto. What is not here answers UNIMPLEMENTED.
"""

import functools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeAlias, TypeVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from infra.errors import InfraError, ProviderError
from infra.provider.aws import AwsProvider, check_provider_config, diff_provider_config
from infra.provider.creations import CreationLog
from infra.provider.lifecycle import CheckResult, DiffResult
from infra.provider.values import Properties
from infra.provider.wire import from_struct, to_struct

PARALLEL = 16
"""Requests at work at once; the engine itself sends more than an endpoint on this machine can use."""
LOOPBACK = "127.0.0.1"
LARGEST_MESSAGE = 1024 * 1024 * 400
"""Bytes; as much as the engine itself allows."""

_Service = TypeVar("_Service", bound="AwsServicer")
_Context: TypeAlias = Any
_Method: TypeAlias = Callable[[_Service, Any, _Context], Any]
_Kind = provider_pb2.PropertyDiff.Kind


@contextmanager
def serving_provider(make: Callable[[str], AwsProvider], creations: CreationLog) -> Iterator[int]:
    """Serve the provider on a free port of the loopback interface, for the time of a ``with`` block.

    Args:
        make: Makes the provider of a region.
        creations: Where it notes what it begins to create.

    Yields:
        The port.
    """
    servicer = AwsServicer(make, creations)
    workers = ThreadPoolExecutor(PARALLEL, thread_name_prefix="provider")
    server = grpc.server(
        workers,
        options=[
            ("grpc.max_receive_message_length", LARGEST_MESSAGE),
            # Without it two engines that are started at the same moment could be given the same port.
            ("grpc.so_reuseport", 0),
        ],
    )
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    server.start()
    try:
        yield port
    finally:
        server.stop(grace=None).wait()
        workers.shutdown()
        servicer.close()


def _answering_with_sentences(method: _Method[_Service]) -> _Method[_Service]:
    """Let the engine print an error's sentence, where gRPC would make it print a traceback."""

    @functools.wraps(method)
    def answer(self: _Service, request: Any, context: _Context) -> Any:
        try:
            return method(self, request, context)
        except InfraError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))

    return answer


class AwsServicer(provider_pb2_grpc.ResourceProviderServicer):
    """Answers the engine's requests from the provider of the region that they are about.

    What exists carries its region in its outputs. What is to be created gets the region that was configured last:
    the protocol does not tell which of several ``aws.Provider`` a request is for, and the program has only one. When
    that one moves to another region the engine configures the old one first.

    Args:
        make: Makes the provider of a region.
        creations: Where it notes what it begins to create.
    """

    def __init__(self, make: Callable[[str], AwsProvider], creations: CreationLog) -> None:
        self._make = make
        self._creations = creations
        self._providers: dict[str, AwsProvider] = {}
        self._configured_region: str | None = None
        self._config: Properties = {}

    # The names are the protocol's.

    def Handshake(self, request: Any, context: _Context) -> Any:  # noqa: N802
        """Tell what is understood: no secrets, so the engine reveals them and marks what comes back itself."""
        del request, context
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=False, accept_resources=False)

    def Attach(self, request: Any, context: _Context) -> Any:  # noqa: N802
        """Take note that an engine is there."""
        del request, context
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: _Context) -> Any:  # noqa: N802
        """Tell the version: that of the classes whose provider this stands in for."""
        del request, context
        return plugin_pb2.PluginInfo(version=_version())

    def GetSchema(self, request: Any, context: _Context) -> Any:  # noqa: N802
        """Tell the package's name; the engine wants no more of it."""
        del request, context
        return provider_pb2.GetSchemaResponse(schema=json.dumps({"name": "aws", "version": _version()}))

    @_answering_with_sentences
    def CheckConfig(self, request: Any, context: _Context) -> Any:  # noqa: N802
        """Validate the provider's own configuration."""
        del context
        return _check_response(check_provider_config(from_struct(request.news)))

    @_answering_with_sentences
    def DiffConfig(self, request: Any, context: _Context) -> Any:  # noqa: N802
        """Tell what changes in the provider's own configuration."""
        del context
        olds, news = from_struct(request.old_inputs), from_struct(request.news)
        return _diff_response(diff_provider_config(olds, news), olds, news)

    @_answering_with_sentences
    def Configure(self, request: Any, context: _Context) -> Any:  # noqa: N802
        """Take over the region, and what else the program's provider says."""
        del context
        region = from_struct(request.args).get("region")
        if not isinstance(region, str):
            raise ProviderError("The provider has no region: give the program's aws.Provider one.")
        self._configured_region, self._config = region, from_struct(request.args)
        self._provider({}).configure(self._config)
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    @_answering_with_sentences
    def Check(self, request: Any, context: _Context) -> Any:  # noqa: N802
        """Validate a resource's inputs, and choose its name."""
        del context
        olds, news = from_struct(request.olds), from_struct(request.news)
        return _check_response(self._provider({}).check(request.urn, olds, news, request.randomSeed))

    @_answering_with_sentences
    def Diff(self, request: Any, context: _Context) -> Any:  # noqa: N802
        """Tell what changes, and whether that replaces the resource."""
        del context
        olds, news = from_struct(request.old_inputs), from_struct(request.news)
        return _diff_response(self._provider({}).diff(request.urn, olds, news), olds, news)

    @_answering_with_sentences
    def Create(self, request: Any, context: _Context) -> Any:  # noqa: N802
        """Make a resource."""
        del context
        inputs = from_struct(request.properties)
        provider = self._provider({})
        region = str(inputs.get("region", provider.region))
        with nullcontext() if request.preview else self._creations.noted(request.urn, region, inputs):
            created = provider.create(request.urn, inputs, preview=request.preview)
        return provider_pb2.CreateResponse(id=created.id, properties=to_struct(created.outputs))

    @_answering_with_sentences
    def Read(self, request: Any, context: _Context) -> Any:  # noqa: N802
        """Read a resource; an answer without an id says that it is not there."""
        del context
        outputs = from_struct(request.properties)
        found = self._provider(outputs).read(request.urn, request.id, from_struct(request.inputs))
        if found is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=found.id, properties=to_struct(found.outputs), inputs=to_struct(found.inputs)
        )

    @_answering_with_sentences
    def Update(self, request: Any, context: _Context) -> Any:  # noqa: N802
        """Change a resource in place."""
        del context
        outputs, olds, news = from_struct(request.olds), from_struct(request.old_inputs), from_struct(request.news)
        updated = self._provider(outputs).update(request.urn, request.id, olds, news, preview=request.preview)
        return provider_pb2.UpdateResponse(properties=to_struct({**outputs, **updated} if request.preview else updated))

    @_answering_with_sentences
    def Delete(self, request: Any, context: _Context) -> Any:  # noqa: N802
        """Delete a resource."""
        del context
        outputs = from_struct(request.properties)
        self._provider(outputs).delete(request.urn, request.id, from_struct(request.old_inputs))
        return empty_pb2.Empty()

    @_answering_with_sentences
    def Invoke(self, request: Any, context: _Context) -> Any:  # noqa: N802
        """Refuse: the provider has no functions."""
        del context
        raise ProviderError(f"The provider does not know the function {request.tok}; it knows none.")

    def Cancel(self, request: Any, context: _Context) -> Any:  # noqa: N802
        """Take note that no more requests will come; those under way come to their end."""
        del request, context
        return empty_pb2.Empty()

    def close(self) -> None:
        """Close the connections."""
        for provider in self._providers.values():
            provider.close()

    def _provider(self, outputs: Properties) -> AwsProvider:
        region = outputs.get("region", self._configured_region)
        if region is None:
            raise ProviderError("The provider was not configured.")
        # setdefault is atomic: two threads that come at once are given one and the same.
        provider = self._providers.get(region)
        if provider is None:
            provider = self._providers.setdefault(region, self._make(region))
            provider.configure(self._config, ask=False)
        return provider


def _check_response(result: CheckResult) -> Any:
    return provider_pb2.CheckResponse(
        inputs=to_struct(result.inputs),
        failures=[
            provider_pb2.CheckFailure(property=failure.property, reason=failure.reason) for failure in result.failures
        ],
    )


def _diff_response(result: DiffResult, olds: Properties, news: Properties) -> Any:
    response = provider_pb2.DiffResponse
    return response(
        changes=response.DIFF_SOME if result.changes else response.DIFF_NONE,
        diffs=result.changes,
        replaces=result.replaces,
        deleteBeforeReplace=result.delete_before_replace,
        hasDetailedDiff=True,
        detailedDiff={
            key: provider_pb2.PropertyDiff(kind=_kind_of_change(key, result, olds, news), inputDiff=True)
            for key in result.changes
        },
    )


def _kind_of_change(key: str, result: DiffResult, olds: Properties, news: Properties) -> Any:
    replaces = key in result.replaces
    if key not in olds:
        return _Kind.ADD_REPLACE if replaces else _Kind.ADD
    if key not in news:
        return _Kind.DELETE_REPLACE if replaces else _Kind.DELETE
    return _Kind.UPDATE_REPLACE if replaces else _Kind.UPDATE


def _version() -> str:
    """Return the version of pulumi-aws, or the first of the major one whose properties the schemas have."""
    try:
        return version("pulumi-aws")
    except PackageNotFoundError:
        return "7.0.0"
