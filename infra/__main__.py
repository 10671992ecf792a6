"""The Pulumi program: one isolated set of resources a scenario, the same for every engine."""

import pulumi
import pulumi_aws as aws

from infra.components import ScenarioResources, ScenarioResourcesArgs
from infra.config import check_names, read_config
from infra.errors import InfraError
from infra.provider_config import NAMES, NAMESPACE, provider_arguments


def main() -> None:
    """Declare the resources of every configured scenario, and export what scenarios need to know of them.

    Raises:
        ConfigError: A configuration value cannot be used.
    """
    config = read_config()
    stack = pulumi.get_stack()
    check_names(config, stack)
    # A provider of its own, so that the configured region holds whatever region the environment is set to. The values
    # ``aws:...`` are passed on to it: Pulumi itself hands them to its default provider alone.
    arguments = {"region": config.aws_region, **provider_arguments(_aws_values())}
    provider = aws.Provider("aws", **arguments)
    for scenario in config.topology():
        resources = ScenarioResources(
            f"{config.project_name}-{stack}-{scenario.name}",
            ScenarioResourcesArgs(
                fifo=scenario.fifo,
                visibility_timeout=config.visibility_timeout(scenario),
                receive_wait=config.queue_receive_wait,
                max_receive_count=config.receive_count(scenario),
                redrive_allow_policy=config.redrive_allow_policy,
                bucket=scenario.bucket,
                tags={"project": config.project_name, "stack": stack, "scenario": scenario.name},
            ),
            opts=pulumi.ResourceOptions(provider=provider),
        )
        pulumi.export(scenario.name, resources.outputs)
    pulumi.export("region", arguments["region"])
    pulumi.export("projectName", config.project_name)
    pulumi.export("timeoutScale", config.timeout_scale)


def _aws_values() -> dict[str, str]:
    values = pulumi.Config(NAMESPACE.rstrip(":"))
    return {f"{NAMESPACE}{name}": value for name in sorted(NAMES) if (value := values.get(name)) is not None}


if __name__ == "__main__":
    try:
        main()
    except InfraError as error:
        # Pulumi prints a RunError's sentence without a traceback.
        raise pulumi.RunError(str(error)) from None
