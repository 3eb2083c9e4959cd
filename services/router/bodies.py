"""What clients send about rules, and what they are shown."""

from datetime import datetime
from typing import Annotated, Any, Self

import msgspec
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from backbone.events.topics import DEFAULT_BUS
from backbone.values.fields import WHOLE, Key, Line, Name, given
from services.router.decisions import Change, Content, Rule, Target, TroubleKind

JsonObject = dict[str, JsonValue]
EXAMPLE: JsonObject = {
    "source": ["/sliceline/orders"],
    "type": [{"prefix": "sliceline.orders.order-placed."}],
    "data": {"total": {"amount": [{"numeric": [">=", 10000]}]}},
}
EVENT: JsonObject = {
    "source": "/sliceline/orders",
    "type": "sliceline.orders.order-placed.v1",
    "data": {"total": {"amount": 2400, "currency": "GBP"}},
}
Bus = Annotated[Name, Field(description="The bus whose events the rule looks at.", examples=[DEFAULT_BUS])]
PatternBody = Annotated[JsonObject, Field(description="What an event has to be like.", examples=[EXAMPLE])]


class Body(BaseModel):
    """What a client sends: nothing is converted, nothing unknown is let through."""

    model_config = ConfigDict(extra="forbid", strict=True)


class TargetBody(Body):
    """Where what matches goes: a webhook endpoint or another bus, just one of them; `input` says in which shape."""

    model_config = ConfigDict(json_schema_extra={"oneOf": given(webhook="string", bus="string")})

    webhook: Annotated[Name | None, Field(description="The name of a webhook endpoint.")] = None
    bus: Annotated[Name | None, Field(description="The name of another bus.")] = None
    input: Annotated[
        JsonObject | None,
        Field(
            description="`pick` fields, something `fixed`, or a `template`; left out, the whole event.",
            examples=[{"pick": ["data.order", "data.total"]}],
        ),
    ] = None


class RuleBody(Body):
    """A rule. One that does not name both source and type has to say that it means all of them."""

    bus: Bus = DEFAULT_BUS
    name: Annotated[Line, Field(max_length=64, examples=["Large orders"])]
    pattern: PatternBody
    targets: Annotated[list[TargetBody], Field(min_length=1, max_length=5, examples=[[{"webhook": "accounting"}]])]
    means_all: bool = False
    enabled: bool = True

    def content(self) -> Content:
        """What the rule says."""
        targets = tuple(Target(**each.model_dump()) for each in self.targets)
        return Content(**{**self.model_dump(exclude={"targets", "version"}), "targets": targets})


class ChangedRule(RuleBody):
    """A rule as it is to be. Given a `version`, it is refused when the rule has had another one since."""

    version: Annotated[int | None, Field(ge=1, le=2**31 - 1), WHOLE] = None


class RuleView(RuleBody):
    """A rule as it stands: `version` counts its changes."""

    model_config = ConfigDict(extra="ignore", strict=False)

    id: str
    version: int
    changed_at: datetime
    changed_by: str


class RulePage(BaseModel):
    items: list[RuleView]
    next: str | None


class VersionView(BaseModel):
    """One change of a rule, and what the rule said from then on; of one that was deleted, what it had said."""

    version: int
    change: Change
    content: RuleBody
    changed_at: datetime
    changed_by: str


class VersionPage(BaseModel):
    items: list[VersionView]
    next: str | None


class TroubleView(BaseModel):
    """What a rule could not do: how often, and with which event last."""

    model_config = ConfigDict(from_attributes=True)

    kind: TroubleKind
    times: int
    event: str
    detail: str
    first_at: datetime
    last_at: datetime


class Troubles(BaseModel):
    items: list[TroubleView]


class Trial(Body):
    """An event, and the rule or the pattern that it is held against: just one of them."""

    model_config = ConfigDict(json_schema_extra={"oneOf": given(pattern="object", rule="string")})

    pattern: Annotated[JsonObject | None, Field(examples=[EXAMPLE])] = None
    rule: Annotated[Key | None, Field(description="The id of a rule.")] = None
    event: Annotated[
        JsonObject, Field(description="As CloudEvents' JSON format has it: attributes and `data`.", examples=[EVENT])
    ]

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.pattern is None) == (self.rule is None):
            raise ValueError("give exactly one of pattern and rule")
        return self


class ReasonView(BaseModel):
    """Why a field does not hold: its place in the pattern, what it has to be, and what the event has there."""

    model_config = ConfigDict(from_attributes=True)

    place: str
    message: str
    found: list[JsonValue]


class Outcome(BaseModel):
    """Whether the event matches; if not, why; if so, what each of the rule's targets would get."""

    matches: bool
    reasons: list[ReasonView]
    inputs: list[Any]


def shown(rule: Rule) -> RuleView:
    """Show a rule."""
    return RuleView.model_validate({**msgspec.to_builtins(rule.content), **_own(rule)})


def _own(rule: Rule) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in ("id", "version", "changed_at", "changed_by")}
