"""The page of settings and metrics says something of each."""

import re

import pytest

from deployment.reference import reference
from tests.all_services import SERVICES

ROWS = [line for line in reference(SERVICES) if line.startswith("| `")]


@pytest.mark.parametrize("row", ROWS)
def test_each_setting_and_metric_is_told_in_words(row: str) -> None:
    *_, about = (cell.strip() for cell in row.strip("|").split(" | "))
    assert len(about) > 10
    assert about != "None"


def test_the_page_names_the_common_settings_those_of_a_service_and_the_metrics() -> None:
    named = [found[1] for row in ROWS if (found := re.match(r"\| `(\S+)`", row))]
    assert len(named) == len(set(named))
    assert {"SLICELINE_LOG_LEVEL", "OTEL_EXPORTER_OTLP_ENDPOINT", "SLICELINE_SMTP_HOST"} <= set(named)
    assert {"sliceline_handled_events_total", "sliceline_consumer_lag", "sliceline_dead_letters"} <= set(named)
