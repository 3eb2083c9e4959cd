"""What `./sliceline test` hands to pytest."""

import pytest

from cli.test import ALL, for_pytest


@pytest.mark.parametrize("given", [[], ["--cov"], ["--cov", "--cov-report=html"], ["-mnot unit"]])
def test_all_tests_run_side_by_side_measured_or_not(given: list[str]) -> None:
    assert for_pytest(given) == [*ALL, *given]


@pytest.mark.parametrize("given", [["tests/unit"], ["tests/unit", "--cov"], ["-k", "cancel", "-x"], ["-m", "unit"]])
def test_whatever_chooses_tests_goes_to_pytest_as_it_is(given: list[str]) -> None:
    assert for_pytest(given) == given
