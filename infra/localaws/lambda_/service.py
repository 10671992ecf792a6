"""Lambda's service: its functions and event source mappings, in AWS's shapes.

Nothing here knows HTTP. Requests and answers are dictionaries by AWS's names; a refusal is a ``LambdaError``.
"""

import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final

from infra.localaws.lambda_ import source
from infra.localaws.lambda_.code import Code, unpack
from infra.localaws.lambda_.concurrency import Concurrency
from infra.localaws.lambda_.config import LATEST, FunctionConfig, command_of
from infra.localaws.lambda_.errors import (
    InvalidParameterValue,
    ResourceConflict,
    ResourceInUse,
    ResourceNotFound,
    UnsupportedParameter,
)
from infra.localaws.lambda_.function import Function, LogSink
from infra.localaws.lambda_.limits import (
    DEFAULT_MAX_POLLERS,
    DEFAULT_MEMORY_MB,
    DEFAULT_MIN_POLLERS,
    DEFAULT_STORAGE_MB,
    DEFAULT_TIMEOUT_SECONDS,
    INIT_SECONDS,
    MAX_ENVIRONMENT_BYTES,
    MAX_MEMORY_MB,
    MAX_TIMEOUT_SECONDS,
)
from infra.localaws.lambda_.mapping import EventSourceMapping
from infra.localaws.lambda_.policies import SQS_ACTIONS, Policy, allows, lambda_may_assume
from infra.localaws.lambda_.runner import MappingRunner, Queues
from infra.localaws.lambda_.settings import MappingSettings, Pollers
from infra.localaws.sqs.errors import QueueDoesNotExist
from infra.localaws.sqs.queue import Observer, Queue

Shape = dict[str, Any]
REPORT_ITEM_FAILURES: Final = "ReportBatchItemFailures"

RolePolicies = Callable[[str], "tuple[Policy, Sequence[Policy]] | None"]
"""Finds a role by its ARN: its trust policy and its other policies."""


@dataclass(slots=True)
class _Deployed:
    """A function with what the API says of it beyond its settings; ``former`` is where its earlier code lies."""

    function: Function
    code: Code
    role: str
    description: str = ""
    architectures: list[str] = field(default_factory=lambda: ["x86_64"])
    storage: int = DEFAULT_STORAGE_MB
    former: list[Path] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    modified_at: float = 0.0
    revision: str = ""


@dataclass(slots=True)
class Mapped:
    """A mapping with what the API says of it beyond its settings."""

    uuid: str
    function: str
    runner: MappingRunner
    tags: dict[str, str] = field(default_factory=dict)
    modified_at: float = 0.0
    is_deleting: bool = False


class LambdaService:
    """The functions and mappings of one account in one region.

    Args:
        queues: the endpoint's queues.
        rng: draws ids and backoffs.
        role: finds a role.
        log: takes the functions' logs.
        observer: is told of every event of mappings, functions and environments; None costs nothing.
        endpoint_url: where the functions' AWS SDKs go.
    """

    def __init__(
        self,
        queues: Queues,
        *,
        rng: Random,
        role: RolePolicies,
        log: LogSink,
        observer: Observer | None = None,
        endpoint_url: str = "",
    ) -> None:
        self.concurrency = Concurrency()
        self._queues = queues
        self._rng = rng
        self._role = role
        self._log = log
        self._observer = observer
        self._endpoint_url = endpoint_url
        self._functions: dict[str, _Deployed] = {}
        self._mappings: dict[str, Mapped] = {}
        self._directory: Path | None = None
        self._versions = 0
        model = queues.model
        self._prefix = f"arn:aws:lambda:{model.region}:{model.account}:"

    def close(self) -> None:
        """End every mapping and every process, and remove the code."""
        for mapped in self._mappings.values():
            mapped.runner.close()
        for deployed in self._functions.values():
            deployed.function.close()
        self._mappings.clear()
        self._functions.clear()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def function(self, name: str) -> Function:
        """Return a function that can be invoked; ``name`` may be an ARN.

        Raises:
            ResourceNotFound: there is none.
        """
        return self._deployed(name).function

    def functions(self) -> list[Function]:
        """Return all functions, by name."""
        return [self._functions[name].function for name in sorted(self._functions)]

    # Functions

    def create_function(self, asked: Shape) -> Shape:
        """CreateFunction."""
        name = _function_name(asked["FunctionName"])
        if name in self._functions:
            raise ResourceConflict(f"Function already exist: {name}")
        self._check_settings(asked)
        self._check_role(asked["Role"])
        for needed in ("Runtime", "Handler"):
            if not asked.get(needed):
                raise InvalidParameterValue(f"{needed} is mandatory for functions created with deployment packages.")
        code = self._unpack(asked["Code"])
        config = FunctionConfig(
            name,
            f"{self._prefix}function:{name}",
            asked["Runtime"],
            asked["Handler"],
            code.directory,
            asked.get("Timeout") or DEFAULT_TIMEOUT_SECONDS,
            asked.get("MemorySize") or DEFAULT_MEMORY_MB,
            _variables(asked),
        )
        self.deploy(config, code, asked)
        return self._configuration(self._functions[name])

    def deploy(
        self,
        config: FunctionConfig,
        code: Code,
        asked: Mapping[str, Any],
        *,
        init_seconds: float = INIT_SECONDS,
        copy_log: Path | None = None,
    ) -> Function:
        """Add a function whose code lies in a directory already.

        Args:
            config: its settings.
            code: its code.
            asked: what the API says of it beyond its settings.
            init_seconds: real seconds until an init is restarted.
            copy_log: a file that takes its log as well.

        Raises:
            InvalidParameterValue: its runtime cannot be run here.
        """
        command_of(config)
        function = Function(
            config,
            concurrency=self.concurrency,
            clock=self._queues.clock,
            real_seconds=self._queues.clock.real_seconds,
            rng=self._rng,
            endpoint_url=self._endpoint_url,
            log=self._log if copy_log is None else _copying(self._log, copy_log),
            observer=self._observer,
            init_seconds=init_seconds,
        )
        self._functions[config.name] = deployed = _Deployed(function, code, str(asked.get("Role", "")))
        deployed.tags = dict(asked.get("Tags") or {})
        self._describe(deployed, asked)
        return function

    def get_function(self, asked: Shape) -> Shape:
        """GetFunction."""
        deployed = self._deployed(asked["FunctionName"])
        answer: Shape = {
            "Configuration": self._configuration(deployed),
            "Code": {"RepositoryType": "S3", "Location": deployed.code.directory.as_uri()},
        }
        if deployed.tags:
            answer["Tags"] = deployed.tags
        reserved = self.concurrency.reserved(deployed.function.config.name)
        if reserved is not None:
            answer["Concurrency"] = {"ReservedConcurrentExecutions": reserved}
        return answer

    def get_function_configuration(self, asked: Shape) -> Shape:
        """GetFunctionConfiguration."""
        return self._configuration(self._deployed(asked["FunctionName"]))

    def list_functions(self, _: Shape) -> Shape:
        """ListFunctions."""
        return {"Functions": [self._configuration(self._functions[name]) for name in sorted(self._functions)]}

    def list_versions(self, asked: Shape) -> Shape:
        """ListVersionsByFunction."""
        return {"Versions": [self._configuration(self._deployed(asked["FunctionName"]))]}

    def update_function_code(self, asked: Shape) -> Shape:
        """UpdateFunctionCode."""
        deployed = self._deployed(asked["FunctionName"])
        code = self._unpack({"ZipFile": asked.get("ZipFile")})
        deployed.former.append(deployed.code.directory)
        deployed.code = code
        self._reconfigure(deployed, directory=code.directory)
        self._remove_former(deployed)
        self._describe(deployed, {})
        return self._configuration(deployed)

    def update_function_configuration(self, asked: Shape) -> Shape:
        """UpdateFunctionConfiguration."""
        deployed = self._deployed(asked["FunctionName"])
        self._check_settings(asked)
        if asked.get("Role"):
            self._check_role(asked["Role"])
        changes: Shape = {
            setting: asked[name]
            for name, setting in (
                ("Runtime", "runtime"),
                ("Handler", "handler"),
                ("Timeout", "timeout"),
                ("MemorySize", "memory"),
            )
            if asked.get(name)
        }
        if asked.get("Environment") is not None:
            changes["variables"] = _variables(asked)
        self._reconfigure(deployed, **changes)
        deployed.role = asked.get("Role") or deployed.role
        self._describe(deployed, asked)
        return self._configuration(deployed)

    def delete_function(self, asked: Shape) -> Shape:
        """DeleteFunction; its mappings stay, and fail."""
        deployed = self._deployed(asked["FunctionName"])
        name = deployed.function.config.name
        del self._functions[name]
        self.concurrency.unreserve(name)
        deployed.function.close()
        deployed.former.append(deployed.code.directory)
        self._remove_former(deployed)
        return {}

    def put_function_concurrency(self, asked: Shape) -> Shape:
        """PutFunctionConcurrency."""
        name = self._deployed(asked["FunctionName"]).function.config.name
        self.concurrency.reserve(name, asked["ReservedConcurrentExecutions"])
        return {"ReservedConcurrentExecutions": asked["ReservedConcurrentExecutions"]}

    def get_function_concurrency(self, asked: Shape) -> Shape:
        """GetFunctionConcurrency."""
        reserved = self.concurrency.reserved(self._deployed(asked["FunctionName"]).function.config.name)
        return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}

    def delete_function_concurrency(self, asked: Shape) -> Shape:
        """DeleteFunctionConcurrency."""
        self.concurrency.unreserve(self._deployed(asked["FunctionName"]).function.config.name)
        return {}

    def get_code_signing_config(self, asked: Shape) -> Shape:
        """GetFunctionCodeSigningConfig: no function here has one."""
        return {"FunctionName": self._deployed(asked["FunctionName"]).function.config.name}

    def get_account_settings(self, _: Shape) -> Shape:
        """GetAccountSettings."""
        return {
            "AccountLimit": {
                "ConcurrentExecutions": self.concurrency.account,
                "UnreservedConcurrentExecutions": self.concurrency.unreserved(),
            },
            "AccountUsage": {
                "FunctionCount": len(self._functions),
                "TotalCodeSize": sum(deployed.code.size for deployed in self._functions.values()),
            },
        }

    # Mappings

    def create_mapping(self, asked: Shape) -> Shape:
        """CreateEventSourceMapping."""
        deployed = self._deployed(asked["FunctionName"])
        name = deployed.function.config.name
        queue = self._queue_of(asked.get("EventSourceArn"))
        arn = queue.identity.arn
        for other in self._mappings.values():
            if other.runner.mapping.queue.arn == arn and other.function == name:
                raise ResourceConflict(
                    f'The event source arn (" {arn} ") and function (" {name} ") provided mapping already exists. '
                    f"Please update or delete the existing mapping with UUID {other.uuid}"
                )
        settings = _settings(asked, MappingSettings())
        self._check_mapping(settings, queue, deployed)
        mapped = self.map_queue(settings, queue.name, name, enabled=asked.get("Enabled", True) is not False)
        mapped.tags = dict(asked.get("Tags") or {})
        answer = self._mapping(mapped)
        mapped.runner.step()
        return {**answer, "State": "Creating"}

    def get_mapping(self, asked: Shape) -> Shape:
        """GetEventSourceMapping."""
        return self._mapping(self._mapped(asked["UUID"]))

    def list_mappings(self, asked: Shape) -> Shape:
        """ListEventSourceMappings."""
        wanted, arn = asked.get("FunctionName"), asked.get("EventSourceArn")
        name = None if wanted is None else _function_name(wanted)
        return {
            "EventSourceMappings": [
                self._mapping(mapped)
                for mapped in self._mappings.values()
                if name in {None, mapped.function} and arn in {None, mapped.runner.mapping.queue.arn}
            ]
        }

    def update_mapping(self, asked: Shape) -> Shape:
        """UpdateEventSourceMapping; what is not given stays as it is."""
        mapped = self._mapped(asked["UUID"])
        if mapped.is_deleting:
            raise ResourceInUse("Cannot update the event source mapping because it is not in use.")
        mapping = mapped.runner.mapping
        name = mapped.function if asked.get("FunctionName") is None else _function_name(asked["FunctionName"])
        settings = _settings(asked, mapping.settings)
        self._check_mapping(settings, self._queue_of(mapping.queue.arn), self._deployed(name))
        mapped.function = name
        mapped.modified_at = time.time()
        mapping.update(settings)
        if asked.get("Enabled") is True:
            mapping.enable()
        elif asked.get("Enabled") is False:
            mapping.disable()
        answer = self._mapping(mapped)
        mapped.runner.step()
        return {**answer, "State": "Updating"}

    def delete_mapping(self, asked: Shape) -> Shape:
        """DeleteEventSourceMapping; what was received is still handled, and deleted."""
        mapped = self._mapped(asked["UUID"])
        if mapped.is_deleting:
            raise ResourceInUse("Cannot delete the event source mapping because it is in use.")
        mapped.is_deleting = True
        mapped.runner.mapping.disable()
        answer = self._mapping(mapped)
        mapped.runner.step()
        return answer

    # What a lab does

    def stop_mappings(self, function: str) -> None:
        """Delete the mappings of a function; what was received is still handled, and deleted."""
        for mapped in [each for each in self._mappings.values() if each.function == function]:
            mapped.is_deleting = True
            mapped.runner.mapping.disable()
            mapped.runner.step()

    def remove(self, function: str) -> None:
        """End a function and its mappings at once, whatever is under way."""
        for uuid, mapped in list(self._mappings.items()):
            if mapped.function == function:
                mapped.runner.close()
                del self._mappings[uuid]
        self.delete_function({"FunctionName": function})

    # Tags

    def list_tags(self, asked: Shape) -> Shape:
        """ListTags."""
        return {"Tags": self._tags(asked["Resource"])}

    def tag(self, asked: Shape) -> Shape:
        """TagResource."""
        self._tags(asked["Resource"]).update(asked["Tags"])
        return {}

    def untag(self, asked: Shape) -> Shape:
        """UntagResource."""
        tags = self._tags(asked["Resource"])
        for key in asked["TagKeys"]:
            tags.pop(key, None)
        return {}

    # How functions are kept

    def _deployed(self, name: str) -> _Deployed:
        short = _function_name(name)
        deployed = self._functions.get(short)
        if deployed is None:
            raise ResourceNotFound(f"Function not found: {self._prefix}function:{short}")
        return deployed

    def _check_settings(self, asked: Shape) -> None:
        for name, most in (("Timeout", MAX_TIMEOUT_SECONDS), ("MemorySize", MAX_MEMORY_MB)):
            if (asked.get(name) or 0) > most:
                raise InvalidParameterValue(f"{name} is at most {most}, and is {asked[name]}.")
        if asked.get("PackageType", "Zip") != "Zip":
            raise UnsupportedParameter("This endpoint runs functions from zip archives, and no images.")
        if asked.get("Publish"):
            raise UnsupportedParameter("This endpoint keeps the version $LATEST alone; leave Publish out.")
        variables = json.dumps(_variables(asked), separators=(",", ":"))
        if len(variables) > MAX_ENVIRONMENT_BYTES:
            raise InvalidParameterValue(
                "Lambda was unable to configure your environment variables because the environment variables you have "
                f"provided exceeded the 4KB limit. String measured: {variables}"
            )

    def _check_role(self, arn: str) -> None:
        role = self._role(arn)
        if role is None or not lambda_may_assume(role[0]):
            raise InvalidParameterValue("The role defined for the function cannot be assumed by Lambda.")

    def _unpack(self, code: Shape) -> Code:
        if code.get("ZipFile") is None:
            raise UnsupportedParameter(
                "This endpoint takes a function's code as ZipFile, a zip archive in the request."
            )
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="lambda-code-"))
        self._versions += 1
        return unpack(code["ZipFile"], self._directory / str(self._versions))

    def _remove_former(self, deployed: _Deployed) -> None:
        """Remove code that no environment runs any more; the code of a directory of the user's own stays."""
        used = {environment.config.directory for environment in deployed.function.environments}
        for directory in [path for path in deployed.former if path not in used]:
            deployed.former.remove(directory)
            if self._directory is not None and directory.is_relative_to(self._directory):
                shutil.rmtree(directory, ignore_errors=True)

    def _reconfigure(self, deployed: _Deployed, **changes: Any) -> None:
        config = replace(deployed.function.config, **changes)
        command_of(config)
        deployed.function.reconfigure(config)

    def _describe(self, deployed: _Deployed, asked: Mapping[str, Any]) -> None:
        deployed.modified_at = time.time()
        deployed.revision = self._uuid()
        if asked.get("Description") is not None:
            deployed.description = asked["Description"]
        if asked.get("Architectures"):
            deployed.architectures = asked["Architectures"]
        if asked.get("EphemeralStorage"):
            deployed.storage = asked["EphemeralStorage"]["Size"]

    def _configuration(self, deployed: _Deployed) -> Shape:
        config = deployed.function.config
        answer: Shape = {
            "FunctionName": config.name,
            "FunctionArn": config.arn,
            "Runtime": config.runtime,
            "Role": deployed.role,
            "Handler": config.handler,
            "CodeSize": deployed.code.size,
            "Description": deployed.description,
            "Timeout": config.timeout,
            "MemorySize": config.memory,
            "LastModified": _timestamp(deployed.modified_at),
            "CodeSha256": deployed.code.sha256,
            "Version": LATEST,
            "TracingConfig": {"Mode": "PassThrough"},
            "RevisionId": deployed.revision,
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "PackageType": "Zip",
            "Architectures": deployed.architectures,
            "EphemeralStorage": {"Size": deployed.storage},
            "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": config.log_group},
        }
        if config.variables:
            answer["Environment"] = {"Variables": config.variables}
        return answer

    # How mappings are kept

    def _mapped(self, uuid: str) -> Mapped:
        mapped = self._mappings.get(uuid)
        if mapped is None:
            raise ResourceNotFound("The resource you requested does not exist.")
        return mapped

    def _queue_of(self, arn: str | None) -> Queue:
        if arn is None:
            raise InvalidParameterValue("Unrecognized event source.")
        model = self._queues.model
        parts = arn.split(":")
        if parts[2:3] != ["sqs"]:
            raise UnsupportedParameter(f"This endpoint maps queues of SQS to functions, and not {arn}.")
        try:
            queue = model.queue(parts[-1])
        except QueueDoesNotExist:
            queue = None
        if queue is None or queue.identity.arn != arn:
            raise InvalidParameterValue(
                "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
                "SQS Error Message: The specified queue does not exist for this wsdl version."
            )
        return queue

    def _check_mapping(self, settings: MappingSettings, queue: Queue, deployed: _Deployed) -> None:
        attributes = queue.attributes
        settings.check_against(
            fifo=attributes.fifo,
            visibility_timeout=attributes.visibility_timeout,
            function_timeout=deployed.function.config.timeout,
        )
        role = self._role(deployed.role)
        for action in SQS_ACTIONS:
            if role is None or not allows(role[1], f"sqs:{action}", queue.identity.arn):
                raise InvalidParameterValue(
                    f"The provided execution role does not have permissions to call {action} on SQS"
                )

    @property
    def queues(self) -> Queues:
        """The endpoint's queues."""
        return self._queues

    def map_queue(
        self, settings: MappingSettings, queue_name: str, function: str, *, enabled: bool = True, message_limit: int = 0
    ) -> Mapped:
        """Map a queue to a function, both of which are there; see ``EventSourceMapping`` for the limit."""
        observer = self._observer

        def observe(event: str, queue: str, fields: dict[str, Any]) -> None:
            if observer is not None:
                observer(event, queue, {"function": mapped.function, **fields})

        mapping = EventSourceMapping(
            settings,
            source.source_queue(self._queues.model, queue_name),
            clock=self._queues.clock,
            rng=self._rng,
            observer=None if observer is None else observe,
            enabled=enabled,
            message_limit=message_limit,
        )
        uuid = self._uuid()

        def find() -> Function | None:
            deployed = self._functions.get(mapped.function)
            return None if deployed is None else deployed.function

        def on_idle() -> None:
            if (mapped.is_deleting or message_limit) and self._mappings.pop(uuid, None) is not None:
                observe("mapping-ended", mapping.queue.name, {})
                self._queues.after()

        mapped = Mapped(uuid, function, MappingRunner(mapping, find, self._queues, on_idle))
        mapped.modified_at = time.time()
        self._mappings[uuid] = mapped
        return mapped

    def _mapping(self, mapped: Mapped) -> Shape:
        mapping = mapped.runner.mapping
        settings = mapping.settings
        answer: Shape = {
            "UUID": mapped.uuid,
            "BatchSize": settings.batch_size,
            "MaximumBatchingWindowInSeconds": settings.window,
            "EventSourceArn": mapping.queue.arn,
            "FunctionArn": f"{self._prefix}function:{mapped.function}",
            "LastModified": mapped.modified_at,
            "State": _state(mapped),
            "StateTransitionReason": "USER_INITIATED",
            "FunctionResponseTypes": [REPORT_ITEM_FAILURES] if settings.report_item_failures else [],
            "EventSourceMappingArn": f"{self._prefix}event-source-mapping:{mapped.uuid}",
        }
        if mapped.runner.last_result is not None:
            answer["LastProcessingResult"] = mapped.runner.last_result
        if settings.maximum_concurrency is not None:
            answer["ScalingConfig"] = {"MaximumConcurrency": settings.maximum_concurrency}
        if settings.filters:
            answer["FilterCriteria"] = {"Filters": [{"Pattern": pattern} for pattern in settings.filters]}
        if settings.pollers is not None:
            pollers = settings.pollers
            answer["ProvisionedPollerConfig"] = {"MinimumPollers": pollers.least, "MaximumPollers": pollers.most}
        return answer

    # Within

    def _tags(self, arn: str) -> dict[str, str]:
        kind, _, name = arn.removeprefix(self._prefix).partition(":")
        if kind == "function":
            return self._deployed(name).tags
        return self._mapped(name).tags

    def _uuid(self) -> str:
        digits = f"{self._rng.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _copying(log: LogSink, path: Path) -> LogSink:
    """Return a sink that writes each line into a file as well."""

    def write(group: str, stream: str, line: str) -> None:
        log(group, stream, line)
        with suppress(OSError), path.open("a") as file:
            file.write(f"{line}\n")

    return write


def _state(mapped: Mapped) -> str:
    if mapped.is_deleting:
        return "Deleting"
    mapping = mapped.runner.mapping
    if mapping.enabled:
        return "Enabled"
    return "Disabled" if mapping.is_idle else "Disabling"


def _settings(asked: Shape, present: MappingSettings) -> MappingSettings:
    """Return a mapping's settings as a request changes them; an empty configuration removes what it configures."""
    batch_size, window = asked.get("BatchSize"), asked.get("MaximumBatchingWindowInSeconds")
    types, scaling = asked.get("FunctionResponseTypes"), asked.get("ScalingConfig")
    criteria, pollers = asked.get("FilterCriteria"), asked.get("ProvisionedPollerConfig")
    return MappingSettings(
        batch_size=present.batch_size if batch_size is None else batch_size,
        window=present.window if window is None else window,
        report_item_failures=present.report_item_failures if types is None else REPORT_ITEM_FAILURES in types,
        maximum_concurrency=present.maximum_concurrency if scaling is None else scaling.get("MaximumConcurrency"),
        filters=present.filters if criteria is None else _patterns(criteria),
        pollers=present.pollers if pollers is None else _pollers(pollers),
    )


def _patterns(criteria: Shape) -> tuple[str, ...]:
    return tuple(entry.get("Pattern") or "" for entry in criteria.get("Filters") or ())


def _pollers(config: Shape) -> Pollers | None:
    if not config:
        return None
    return Pollers(config.get("MinimumPollers", DEFAULT_MIN_POLLERS), config.get("MaximumPollers", DEFAULT_MAX_POLLERS))


def _variables(asked: Mapping[str, Any]) -> dict[str, str]:
    environment = asked.get("Environment") or {}
    variables: dict[str, str] = environment.get("Variables") or {}
    return variables


def _function_name(text: str) -> str:
    """Return the name in a name or ARN; a qualifier other than the latest version is refused."""
    parsed = _NAME(text)
    if parsed is None:
        raise ResourceNotFound(f"Function not found: {text}")
    if parsed["qualifier"] not in {None, LATEST}:
        raise ResourceNotFound(f"Function not found: {text}; this endpoint keeps the version {LATEST} alone.")
    return parsed["name"]


def _timestamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}+0000"


_NAME: Final = re.compile(
    r"(?:arn:aws:lambda:[a-z0-9-]+:)?(?:\d{12}:)?(?:function:)?(?P<name>[A-Za-z0-9_-]+)(?::(?P<qualifier>[^:]+))?"
).fullmatch
