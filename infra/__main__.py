"""The Pulumi program: one isolated set of resources a scenario, the same for every engine."""

import pulumi

from infra.aws_classes import aws
from infra.components import LambdaConsumer, LambdaConsumerArgs, ScenarioResources, ScenarioResourcesArgs
from infra.config import check_names, read_config
from infra.consumers import LambdaSettings
from infra.errors import InfraError
from infra.provider_config import NAMES, NAMESPACE, provider_arguments
from infra.stack.paths import project_root


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
    functions = {}
    for scenario in config.topology():
        name = f"{config.project_name}-{stack}-{scenario.name}"
        tags = {"project": config.project_name, "stack": stack, "scenario": scenario.name}
        opts = pulumi.ResourceOptions(provider=provider)
        resources = ScenarioResources(
            name,
            ScenarioResourcesArgs(
                fifo=scenario.fifo,
                visibility_timeout=config.visibility_timeout(scenario),
                receive_wait=config.queue_receive_wait,
                max_receive_count=config.receive_count(scenario),
                redrive_allow_policy=config.redrive_allow_policy,
                bucket=scenario.bucket,
                tags=tags,
            ),
            opts=opts,
        )
        pulumi.export(scenario.name, resources.outputs)
        settings = config.lambda_consumers.get(scenario.name)
        if settings is not None:
            consumer = LambdaConsumer(name, _consumer_of(settings, resources, tags), opts=opts)
            functions[scenario.name] = {"function": consumer.function.name, "mapping": consumer.mapping.uuid}
    if functions:
        pulumi.export("lambdaConsumers", functions)
    pulumi.export("region", arguments["region"])
    pulumi.export("projectName", config.project_name)
    pulumi.export("timeoutScale", config.timeout_scale)


def _consumer_of(settings: LambdaSettings, resources: ScenarioResources, tags: dict[str, str]) -> LambdaConsumerArgs:
    """What a function is made of that consumes a scenario's queue."""
    return LambdaConsumerArgs(
        queue_arn=resources.queue_arn,
        code=pulumi.FileArchive(str(project_root() / settings.code)),
        handler=settings.handler,
        runtime=settings.runtime,
        timeout=settings.timeout,
        memory_size=settings.memorySize,
        environment=settings.environment,
        reserved_concurrency=settings.reservedConcurrency,
        batch_size=settings.batchSize,
        batching_window=settings.batchingWindow,
        report_item_failures=settings.reportItemFailures,
        maximum_concurrency=settings.maximumConcurrency,
        filters=settings.filters,
        tags=tags,
    )


def _aws_values() -> dict[str, str]:
    values = pulumi.Config(NAMESPACE.rstrip(":"))
    return {f"{NAMESPACE}{name}": value for name in sorted(NAMES) if (value := values.get(name)) is not None}


if __name__ == "__main__":
    try:
        main()
    except InfraError as error:
        # Pulumi prints a RunError's sentence without a traceback.
        raise pulumi.RunError(str(error)) from None
