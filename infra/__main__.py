"""The Pulumi program: one isolated set of resources a scenario, the same for every engine."""

import pulumi
import pulumi_aws as aws

from infra.components import ScenarioResources, ScenarioResourcesArgs
from infra.config import check_name_lengths, read_config
from infra.errors import InfraError


def main() -> None:
    """Declare the resources of every configured scenario, and export what scenarios need to know of them.

    Raises:
        ConfigError: A configuration value cannot be used.
    """
    config = read_config()
    stack = pulumi.get_stack()
    check_name_lengths(config.project_name, stack)
    # A provider of its own, so that the configured region holds whatever region the environment is set to.
    provider = aws.Provider("aws", region=config.aws_region)
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
    pulumi.export("region", config.aws_region)
    pulumi.export("projectName", config.project_name)
    pulumi.export("timeoutScale", config.timeout_scale)


if __name__ == "__main__":
    try:
        main()
    except InfraError as error:
        # Pulumi prints a RunError's sentence without a traceback.
        raise pulumi.RunError(str(error)) from None
