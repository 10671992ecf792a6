"""How a service declares an option: once, with its type, default, limits and one line of help.

A field of a settings class is an environment variable of the same name in capitals. Its row of the table in
docs/services.md, the text of ``--help`` and the scaling of timers follow from the declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError
from pydantic.fields import FieldInfo

#: No wait is longer than a message can be invisible, in seconds.
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html
MAX_SECONDS = 43_200


class OwnClock:
    """Marks seconds that a service measures itself. A lab whose clock runs faster than the wall's scales them."""


Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False), OwnClock()]


def variable(default: Any, meaning: str, shown: str = "") -> Any:
    """Declare an option.

    Args:
        default: its value where the environment has none.
        meaning: one line for the table and for ``--help``.
        shown: the words for the default there; empty for the default's own value.
    """
    return Field(default=default, description=meaning, json_schema_extra={"shown": shown} if shown else None)


def required(meaning: str) -> Any:
    """Declare an option that has no default."""
    return Field(description=meaning)


def must_be(error: ValidationError) -> str:
    """Return what the first refused value must be: the end of a sentence."""
    said = error.errors()[0]["msg"].removeprefix("Value error, ").replace("Input should be ", "")
    return said.partition(", unable to")[0]


def timers(model: type[BaseModel]) -> frozenset[str]:
    """Return the names of the options that are seconds on a service's own clock."""
    return frozenset(
        name for name, field in model.model_fields.items() if any(isinstance(item, OwnClock) for item in field.metadata)
    )


def rows(
    model: type[BaseModel], leave_out: type[BaseModel] | None = None, spelled: Callable[[str], str] = str.upper
) -> list[tuple[str, str, str]]:
    """Return each option as a user spells it, its default and its meaning, in the order of their declaration."""
    others = leave_out.model_fields if leave_out is not None else {}
    return [
        (spelled(name), default_of(field), field.description or "")
        for name, field in model.model_fields.items()
        if name not in others
    ]


def markdown_table(found: Iterable[tuple[str, str, str]], title: str = "variable") -> str:
    """Return rows of options as a table, as docs/services.md holds it."""
    lines = [f"| `{name}` | {default} | {meaning} |" for name, default, meaning in found]
    return "\n".join([f"| {title} | default | meaning |", "|---|---|---|", *lines])


def help_text(model: type[BaseModel]) -> str:
    """Return the options as lines for ``--help``."""
    found = rows(model)
    width = max(len(name) for name, _, _ in found)
    lines = [f"  {name:{width}}  {meaning} ({_as_text(default)})" for name, default, meaning in found]
    return "\n".join(lines).replace("`", "")


def _as_text(default: str) -> str:
    return default if default == "required" else f"default: {default}"


def default_of(field: FieldInfo) -> str:
    """Return an option's default in words."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "shown" in extra:
        return str(extra["shown"])
    if field.is_required():
        return "required"
    if field.default in ("", None, ()):
        return "none"
    return f"`{field.default}`" if isinstance(field.default, str) else f"{field.default:g}"
