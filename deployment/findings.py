"""Says what is wrong with a changed contract: to people, to a code host beside the line (GitHub), and as SARIF."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backbone.version import VERSION

PAGE = "docs/changing-an-event.md"
RULES = {
    "removed": "A field of a released contract stays.",
    "required": "A field that could be missing is not required.",
    "optional": "A field that was required is not optional.",
    "type": "A field keeps its JSON type.",
    "values": "The values that a field may have stay the same.",
    "limits": "What limits a field (length, range, pattern, format) stays the same.",
    "shape": "What a field may hold stays the same.",
    "unit": "A field keeps its unit.",
    "default": "What a missing field means stays the same.",
    "sensitivity": "A field that is a person's own stays marked as one.",
    "sunset": "A version is published for as long as was promised.",
    "sample": "A golden sample that was released stays as it is.",
    "tried": "A value that fits one form fits the others.",
    "undecided": "A change that cannot be judged is refused.",
    "gone": "A released version stays until it is retired.",
    "retired": "The name of a retired version is not used again.",
    "reader": "A reader reads only what is promised.",
    "broken": "A contract is a JSON Schema.",
}
"""What each rule says, by its name."""


@dataclass(frozen=True)
class Finding:
    """Is one thing that would break somebody."""

    event: str
    """The event version without the name of the system: `orders.order-confirmed.v1`."""
    field: str
    rule: str
    said: str
    instead: str
    file: str
    line: int = 1
    readers: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What happened and whom it breaks: `orders.order-confirmed.v1: total removed; read by loyalty, kitchen`."""
        return f"{self.event}: {self.said}; {self.whom}"

    @property
    def whom(self) -> str:
        """Who would break."""
        return f"read by {', '.join(self.readers)}" if self.readers else "nobody here reads it"


def as_text(finding: Finding) -> str:
    """Write a finding for people."""
    rule = f"Rule {finding.rule}: {RULES[finding.rule]}"
    return f"{finding.file}:{finding.line}\n  {finding.sentence}\n  {rule}\n  Instead: {finding.instead}"


def as_annotation(finding: Finding) -> str:
    """Write a finding as the workflow command that GitHub shows beside the line."""
    where = f"file={_property(finding.file)},line={finding.line},title={_property(f'contract: {finding.rule}')}"
    return f"::error {where}::{_data(f'{finding.sentence}. Instead: {finding.instead}')}"


def as_sarif(findings: Sequence[Finding]) -> dict[str, Any]:
    """Write findings as a SARIF 2.1.0 log."""
    rules = [
        {"id": name, "shortDescription": {"text": said}, "help": {"text": f"See {PAGE}."}}
        for name, said in RULES.items()
    ]
    driver = {"name": "sliceline-contracts", "version": VERSION, "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": list(map(_result, findings))}
    return {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}


def _result(finding: Finding) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": finding.file, "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": finding.line},
    }
    return {
        "ruleId": finding.rule,
        "ruleIndex": list(RULES).index(finding.rule),
        "level": "error",
        "message": {"text": f"{finding.sentence}. Instead: {finding.instead}"},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"contract/v1": f"{finding.event}/{finding.field}/{finding.rule}"},
    }


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
