"""The texts of a new service's files: the templates, filled in with what each event needs."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from backbone.events.acts import hash_of
from backbone.events.envelope import parse_type
from cli.making.wanted import Unwanted, View, Wanted, class_of
from deployment.catalogue import sample_of
from local import ROOT

TEMPLATES = Path(__file__).parent / "templates"
LINE = 120
LIKE, ACTS = "kitchen", "acts-recorded"
"""Whose log of acts is told as that of each service is, and in which event."""
_ONLY = re.compile(r"^%([+-])(?: (.*))?\n", re.MULTILINE)
_GAP = re.compile(r"%\{(\w+)\}")


def files_of(wanted: Wanted) -> dict[str, str]:
    """Write all files that are the service's own, each path with its text. Raises Unwanted."""
    name = wanted.name
    if taken := [event for event in wanted.publishes if class_of(event) in _classes()]:
        raise Unwanted(f"{taken[0]} would be called like a class that every service has. Give the event another name.")
    folder = f"services/{name}"
    templates = {
        f"{folder}/__init__.py": "init",
        f"{folder}/README.md": "page",
        f"{folder}/api.py": "api",
        f"{folder}/consumers.py": "consumers",
        f"{folder}/decisions.py": "decisions",
        f"{folder}/events.py": "events",
        f"{folder}/migrations/0001_{name}.py": "migration",
        f"{folder}/service.py": "service",
        f"{folder}/store.py": "store",
        f"{folder}/tables.py": "tables",
        f"tests/unit/test_{name}_decisions.py": "test_decisions",
        f"tests/integration/test_{name}.py": "test_service",
    }
    gaps = _gaps(wanted)
    texts = {path: filled(template, gaps, bool(wanted.publishes)) for path, template in templates.items()}
    contracts = (_contract_of_acts(name), *(_contract(name, event) for event in wanted.publishes))
    return texts | {path: text for contract in contracts for path, text in contract.items()}


def filled(template: str, gaps: Mapping[str, str], publishes: bool = False) -> str:
    """Fill a template in.

    A line that begins with `%+` is only for a service that publishes, one with `%-` for one that does not. `%{…}` is a
    gap.
    """
    text = (TEMPLATES / f"{template}.txt").read_text()
    mark = "+" if publishes else "-"
    chosen = _ONLY.sub(lambda line: f"{line[2] or ''}\n" if line[1] == mark else "", text)
    return _GAP.sub(lambda gap: gaps[gap[1]], chosen)


def _classes() -> set[str]:
    """Return what classes are called in the templates."""
    return {word for file in TEMPLATES.glob("*.txt") for word in re.findall(r"\b[A-Z]\w+", file.read_text())}


def _contract(name: str, event: str) -> dict[str, str]:
    """Write the schema of an event to be published, a sample, and one that has to be refused."""
    gaps = {"name": name, "event": event, "sentence": event.replace("-", " ").capitalize()}
    return {
        f"schemas/{name}/{event}.v1.json": filled("schema", gaps),
        f"schemas/{name}/samples/{event}.v1.json": filled("sample", gaps),
        f"schemas/{name}/samples/invalid/{event}.v1.without-total.json": filled("broken_sample", gaps),
    }


def _contract_of_acts(name: str) -> dict[str, str]:
    """Write the contract of the event that tells of the service's log of acts: it is that of any other service."""
    folder = ROOT / "schemas" / LIKE
    files = (path for path in folder.rglob(f"{ACTS}.*") if path.is_file())
    said = re.compile(rf"\b{LIKE}\b")
    texts = {f"schemas/{name}/{path.relative_to(folder)}": said.sub(name, path.read_text()) for path in files}
    sample = json.loads(texts[golden := f"schemas/{name}/samples/{ACTS}.v1.json"])
    [entry] = sample["acts"]
    sample["hash"] = hash_of(sample["previous"], sample["last"], entry)
    return texts | {golden: json.dumps(sample, indent=2) + "\n"}


def _gaps(wanted: Wanted) -> dict[str, str]:
    name, reads, publishes = wanted.name, wanted.reads, wanted.publishes
    events = f"services.{name}.events"
    return {
        "name": name,
        "title": name.capitalize(),
        "import_views": _imported(events, (view.class_name for view in reads)),
        "import_payloads": _imported(events, map(class_of, publishes)),
        "views": "\n\n".join(map(_view, reads)).rstrip("\n"),
        "payloads": "\n\n".join(_payload(name, event) for event in publishes) + "\n",
        "published": _tuple("PUBLISHES", [*map(class_of, publishes), class_of(ACTS)]),
        "functions": "\n\n".join(map(_function, reads)) + "\n",
        "facts": "\n".join(f"    {view.class_name}: _{_snake(view.class_name)}," for view in reads),
        "cases": "\n".join(map(_case, reads)),
        "heard": "\n".join(map(_heard, reads)),
        "endpoints": "\n\n".join(_endpoint(name, event) for event in publishes) + "\n",
        "events": _tuple("EVENTS", [f'"{event}"' for event in publishes]),
        "commands": "\n".join(
            f"- `POST /{name}/{{name}}/{event}`: publish {event} about a name." for event in publishes
        ),
        "reading": f"Reads {'; '.join(_read_from(reads))}.",
        "publishing": f"Publishes {', '.join(publishes)} when a command asks for it, under the name as its key.",
        "rows": "\n".join(f"| {view.event} | 1 to the total of {_subject(view)} |" for view in reads),
    }


def _imported(module: str, names: Iterable[str]) -> str:
    ordered = sorted(names, key=str.lower)  # as the linter does
    return _fitted(f"from {module} import ", ", ".join(ordered), _broken(ordered))


def _tuple(variable: str, values: list[str]) -> str:
    end = "," if len(values) == 1 else ""
    return _fitted(f"{variable} = ", f"({', '.join(values)}{end})", _broken(values))


def _fitted(start: str, short: str, long: str) -> str:
    """Write a statement in one line where that is not too long, as the formatter would have it."""
    return start + (short if len(start + short) <= LINE else long)


def _broken(values: Iterable[str]) -> str:
    return "".join(["(\n", *(f"    {each},\n" for each in values), ")"])


def _view(view: View) -> str:
    field = f"    {view.field}: str\n" if view.field else ""
    return f'{_payload_class(view.class_name)}    TYPE: ClassVar[str] = "{view.type}"\n{field}'


def _payload(name: str, event: str) -> str:
    return (
        f"{_payload_class(class_of(event))}"
        f'    """Somebody asked for this to be said of a name; `total` is what was added up by then."""\n\n'
        f'    TYPE: ClassVar[str] = "sliceline.{name}.{event}.v1"\n'
        "    name: str\n    total: int\n    by: str\n"
    )


def _payload_class(class_name: str) -> str:
    return f"class {class_name}(Payload, frozen=True, kw_only=True):\n"


def _function(view: View) -> str:
    fact, said = ("fact", f"fact.{view.field}") if view.field else ("_fact", f'"{view.event}"')
    return f"def _{_snake(view.class_name)}({fact}: {view.class_name}) -> Iterator[Addition]:\n    yield {said}, 1\n"


def _case(view: View) -> str:
    given, expected = (f'{view.field}="a"', "a") if view.field else ("", view.event)
    return f'    ({view.class_name}({given}), {{"{expected}": 1}}),'


def _heard(view: View) -> str:
    expected = sample_of(view.type)[view.field] if view.field else view.event
    return f'    "{view.type}": {{{json.dumps(expected, ensure_ascii=False)}: 1}},'


def _endpoint(name: str, event: str) -> str:
    function = event.replace("-", "_")
    return (
        f'@router.post("/{name}/{{name}}/{event}", response_model=TotalView)\n'
        f'@may("operations.act")\n'
        f"async def publish_{function}(name: TotalName, command: Command) -> Response:\n"
        f'    """Publishes {event} about a name, with its total."""\n'
        f"    return await command.run(lambda tx: _publish(tx, name, {class_of(event)}, command.actor))\n"
    )


def _read_from(reads: Iterable[View]) -> list[str]:
    """Name the events that are read, by service: `order-completed, order-rejected from orders`."""
    events: dict[str, list[str]] = {}
    for view in reads:
        service, event, version = parse_type(view.type)
        events.setdefault(service, []).append(event if version == 1 else f"{event}.v{version}")
    return [f"{', '.join(names)} from {service}" for service, names in events.items()]


def _subject(view: View) -> str:
    return f"its `{view.field}`" if view.field else view.event


def _snake(class_name: str) -> str:
    return re.sub("(?<!^)(?=[A-Z])", "_", class_name).lower()
