"""The SDK's monitor seam: the object that the Pulumi SDK calls where it would otherwise call the real engine.

The SDK hands it the messages of Pulumi's own protocol, one call a resource, from several threads.
https://github.com/pulumi/pulumi/blob/master/proto/pulumi/resource.proto
"""

from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf import empty_pb2
from pulumi.runtime.proto import engine_pb2, resource_pb2

from infra.engines.embedded.goal import goal_from
from infra.engines.embedded.registrar import Registrar
from infra.errors import DeploymentError, InfraError
from infra.provider.wire import from_struct, to_struct

_FEATURES = (
    resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_REFERENCES,
)

_T = TypeVar("_T")


class EmbeddedMonitor:
    """Answers the SDK from a registrar. What it does not have is an error that names it, never ignored."""

    def __init__(self, registrar: Registrar, project: str, stack: str) -> None:
        self._registrar = registrar
        self._project = project
        self._stack = stack

    def GetDeploymentInfo(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Tell which of the protocol's features there are."""
        del request
        return resource_pb2.DeploymentInfo(supportedFeatures=_FEATURES)

    def SupportsFeature(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Tell older SDKs the same, by name."""
        return resource_pb2.SupportsFeatureResponse(hasSupport=request.id in ("secrets", "resourceReferences"))

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Bring a resource to its goal, and answer its id and properties."""

        def register() -> Any:
            registered = self._registrar.register(goal_from(request, self._project, self._stack))
            return resource_pb2.RegisterResourceResponse(
                urn=registered.urn, id=registered.id, object=to_struct(registered.outputs)
            )

        return self._noting_failure(register)

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Take over the outputs of a component or of the stack."""
        self._noting_failure(lambda: self._registrar.register_outputs(request.urn, from_struct(request.outputs)))
        return empty_pb2.Empty()

    def SignalAndWaitForShutdown(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Let the program end."""
        del request
        return empty_pb2.Empty()

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        if not name[:1].isupper():
            raise AttributeError(name)

        def refuse(request: Any) -> Any:
            what = getattr(request, "tok", "") or getattr(request, "type", "")
            raise self._noted(DeploymentError(f"The embedded engine does not have {name} {what}".rstrip() + "."))

        return refuse

    def _noting_failure(self, act: Callable[[], _T]) -> _T:
        try:
            return act()
        except InfraError as error:
            raise self._noted(error) from error

    def _noted(self, error: InfraError) -> InfraError:
        self._registrar.fail(error)
        return error


class EngineLog:
    """Where the SDK logs to: warnings and errors go to the given function, the rest nowhere."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def Log(self, request: Any) -> Any:  # noqa: N802 - the protocol's name
        """Take over one message."""
        if request.severity in (engine_pb2.WARNING, engine_pb2.ERROR):
            self._write(request.message)
        return empty_pb2.Empty()
