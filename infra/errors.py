"""The errors that a user of the infrastructure can cause or meet; each is one sentence that says what to do.

::

    InfraError
    ├── ConfigError       a configuration value, a stack name or an option that cannot be used
    ├── StateError        a state file that is cut, corrupt or not ours
    ├── StackBusyError    another process is at work on the same stack
    ├── StackNotUpError   the stack, or something that it should have, is not there
    ├── EndpointError     the embedded endpoint cannot be started, reached or stopped
    ├── ProviderError     AWS (or what stands in for it) refused a request, or the provider refuses a property
    └── DeploymentError   the program or its deployment failed
"""


class InfraError(Exception):
    """Root of this package's errors; ``str(error)`` is the one sentence that the user sees."""


class ConfigError(InfraError):
    """A configuration value, a stack name or an option cannot be used."""


class StateError(InfraError):
    """The state of a stack is unreadable, cut, corrupt or of a foreign version; the file is kept as it is."""


class StackBusyError(InfraError):
    """Another process is at work on the same stack."""


class StackNotUpError(InfraError):
    """The stack is not up, or has no resources for what was asked."""


class EndpointError(InfraError):
    """The embedded endpoint cannot be started, reached or stopped."""


class ProviderError(InfraError):
    """AWS, or what stands in for it, refused a request; or the provider does not know a type or property."""


class DeploymentError(InfraError):
    """The program could not be evaluated, or a resource could not be deployed."""
