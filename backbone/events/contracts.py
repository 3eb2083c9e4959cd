"""Loads and checks the contracts: one JSON Schema (2020-12) per event version, schemas/<service>/<event>.v<N>.json.

An event is checked when it is published and again when it is read. Schemas are loaded when first asked for.
"""

from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import orjson

from backbone.errors import SlicelineError
from backbone.events.deprecation import Deprecation, Leaving
from backbone.events.envelope import MalformedType, TypeName, is_type, parse_type
from backbone.events.payload import Payload
from backbone.values.sealed import LONGEST, PATTERN

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
CONSUMERS = "consumers"
"""The folder of what readers take."""
ORIGIN = "https://sliceline.invalid"
"""Where the names of schemas begin: at a host that never resolves (RFC 6761)."""
_MOST_ERRORS = 20
_served = ORIGIN
# Stands for the offending value in messages: they reach logs, where customer data has no place.
_MASK = "the value"

SENSITIVE = "x-sensitive"
"""The keyword of a field that is a person's own, and so sealed; it names the field that says whose it is."""
_SEALED = {"type": "string", "maxLength": LONGEST, "pattern": PATTERN}

Schema = dict[str, Any]


class ContractBroken(SlicelineError):
    """The event's data does not fit its schema."""

    def __init__(self, event_type: str, errors: list[tuple[str, str]]) -> None:
        found = "; ".join(f"{path or 'data'}: {message}" for path, message in errors)
        super().__init__(f"The data of {event_type} does not fit its schema. {found}")
        self.type = event_type
        self.errors = errors


class UnknownContract(SlicelineError):
    """No schema describes the event type."""

    def __init__(self, event_type: str) -> None:
        super().__init__(f"No schema describes {event_type!r}. Write it to schemas/<service>/<event>.v<N>.json.")
        self.type = event_type


class BrokenSchema(SlicelineError):
    """A schema's file holds no JSON Schema."""

    def __init__(self, event_type: str, reason: str) -> None:
        super().__init__(f"Its schema, schemas/{_path_of(parse_type(event_type))}, is broken: {reason}")
        self.type = event_type


def check(event_type: str, data: object) -> None:
    """Check data against its type's schema: JSON text as bytes, or what JSON text decodes to.

    Raises ContractBroken, which lists (dotted path, message) and never a value, or UnknownContract.
    """
    validator = _validator(event_type)
    try:
        value = orjson.loads(data) if isinstance(data, bytes) else data
        if validator.is_valid(value):
            return
        errors = _errors(validator, value)
    except ValueError as error:  # not JSON at all
        errors = [("", str(error))]
    raise ContractBroken(event_type, errors)


def id_of(event_type: str) -> str:
    """Name the schema of an event type, its `$id`: `https://sliceline.invalid/schemas/<service>/<event>.v<N>.json`.

    A schema wants a name that outlives hosts and ports.
    """
    return f"{ORIGIN}/schemas/{_path_of(parse_type(event_type))}"


@cache
def dataschema(event_type: str) -> str:
    """Return what events of a type carry as `dataschema`: where their schema is served, or its name where nobody does.

    The path is the same in both, and the one at which the service that publishes the event serves the schema.
    """
    return f"{_served}/schemas/{_path_of(parse_type(event_type))}"


def serve_from(url: str) -> None:
    """Say where schemas are served, for all that this process publishes from now on."""
    global _served
    _served = url.rstrip("/")
    dataschema.cache_clear()


def schema_of(event_type: str) -> Schema:
    """Read the schema of an event type. Raises UnknownContract, or BrokenSchema for a file that holds none."""
    try:
        schema = orjson.loads((SCHEMAS / _path_of(parse_type(event_type))).read_bytes())
    except (MalformedType, FileNotFoundError):
        raise UnknownContract(event_type) from None
    except orjson.JSONDecodeError as error:
        raise BrokenSchema(event_type, str(error)) from None
    if not isinstance(schema, dict):
        raise BrokenSchema(event_type, "it is no object")
    return schema


def schemas_of(service: str) -> list[str]:
    """List the event types a service has schemas for, by name, then by version."""
    types = [f"sliceline.{service}.{file.stem}" for file in (SCHEMAS / service).glob("*.json")]
    return sorted(filter(is_type, types), key=parse_type)


def owners() -> list[str]:
    """Name those that have schemas here."""
    return sorted(each.name for each in SCHEMAS.iterdir() if each.is_dir() and each.name != CONSUMERS)


def samples_of(event_type: str) -> dict[str, Any]:
    """Read the samples of an event type, by the names of their files: the golden one's is the type's own, and first."""
    name = parse_type(event_type)
    files = sorted((SCHEMAS / name.service / "samples").glob(f"{name.event}.v{name.version}*.json"), key=_sample)
    return {_sample(each): orjson.loads(each.read_bytes()) for each in files}


def views_of(event_type: str) -> dict[str, Schema]:
    """Read what each reader here takes of an event type, by the readers' names: their views in schemas/consumers."""
    file = f"{event_type.removeprefix('sliceline.')}.json"
    views = sorted((SCHEMAS / CONSUMERS).glob(f"*/{file}"))
    return {each.parent.name: orjson.loads(each.read_bytes()) for each in views}


def leaving(event_type: str) -> Leaving | None:
    """Say until when a type is published, and what to read instead; None of one that is not on its way out.

    Raises UnknownContract, or BrokenSchema where the contract says it in other words than it should.
    """
    schema = schema_of(event_type)
    if bool(schema.get("deprecated")) is not ("x-deprecation" in schema):
        raise BrokenSchema(event_type, "deprecated and x-deprecation go together")
    if "x-deprecation" not in schema:
        return None
    try:
        found = msgspec.convert(schema["x-deprecation"], Leaving)
        if date.fromisoformat(found.since) <= date.fromisoformat(found.sunset):
            parse_type(found.use)
            return found
        reason = "it goes before it is deprecated"
    except (ValueError, MalformedType) as error:  # msgspec's are ValueErrors
        reason = str(error)
    raise BrokenSchema(event_type, f"x-deprecation: {reason}")


def deprecation(event_type: str) -> Deprecation | None:
    """Return what each event of a type says of the type's end, as its contract has it. Raises as `leaving` does."""
    told = leaving(event_type)
    return Deprecation(_midnight(told.since), _midnight(told.sunset), dataschema(told.use)) if told else None


def retired(event_type: str) -> str | None:
    """Return the date since which a type is published no more; None of one that may be. Raises as `schema_of` does."""
    found: str | None = schema_of(event_type).get("x-retired")
    return found


def load(event_type: str) -> None:
    """Prepare a type's contract, as its first event would. Raises UnknownContract or BrokenSchema."""
    _validator(event_type)
    leaving(event_type)


def nearest(event_type: str) -> str | None:
    """Name the type with a schema that is most like this one; None when none is much like it."""
    import difflib  # only whoever has made a mistake asks

    known = [f"sliceline.{file.parent.name}.{file.stem}" for file in SCHEMAS.glob("*/*.json")]
    found = difflib.get_close_matches(event_type, filter(is_type, known), n=1, cutoff=0.8)
    return found[0] if found else None


def consumer_schema(payload: type[Payload]) -> Schema:
    """Describe what a reader uses of an event: its narrow view as one self-contained schema, keys sorted."""
    described = msgspec.json.schema(payload)
    definitions: Schema = described.pop("$defs")
    root = definitions.pop(described["$ref"].removeprefix("#/$defs/"))
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **root, "$defs": definitions}
    ordered: Schema = orjson.loads(orjson.dumps(whole, option=orjson.OPT_SORT_KEYS))
    return ordered


def _midnight(day: str) -> str:
    return f"{day}T00:00:00.000000Z"


def _path_of(name: TypeName) -> str:
    return f"{name.service}/{name.event}.v{name.version}.json"


def _sample(file: Path) -> str:
    return file.name.removesuffix(".json")


@cache
def _validator(event_type: str) -> jsonschema_rs.Draft202012Validator:
    schema = schema_of(event_type)
    try:
        return jsonschema_rs.Draft202012Validator(
            _as_it_travels(schema), validate_formats=True, ignore_unknown_formats=False, mask=_MASK, offline=True
        )
    except jsonschema_rs.ValidationError as error:
        at = ".".join(map(str, error.instance_path))
        raise BrokenSchema(event_type, f"{at or 'the schema'}: {error.message}") from None


def _as_it_travels(schema: Any) -> Any:
    """Let each field that is marked as sensitive be sealed as well: then its own limits are no more to be seen.

    A condition and no `anyOf`, which of a broken field would say only that neither fits.
    """
    if isinstance(schema, list):
        return [_as_it_travels(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    within = {name: _as_it_travels(each) for name, each in schema.items()}
    return {"if": _SEALED, "else": within} if isinstance(schema.get(SENSITIVE), str) else within


def _errors(validator: jsonschema_rs.Draft202012Validator, value: object) -> list[tuple[str, str]]:
    found = ((".".join(map(str, error.instance_path)), error.message) for error in validator.iter_errors(value))
    return [error for error, _ in zip(found, range(_MOST_ERRORS), strict=False)]
