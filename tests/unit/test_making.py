"""What `./sliceline new` understands, what it writes, and that it puts all of it in place or nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from backbone.events.contracts import schemas_of
from cli.making.lists import edited
from cli.making.stage import changes, put_in_place
from cli.making.texts import files_of
from cli.making.wanted import NAME, PATHS, TAKEN, Unwanted, Wanted, type_of, wanted
from local import ROOT
from local.layout import FIXED
from services import CATALOGUE
from tests.all_services import SERVICES
from tests.documents import document_of

ALL = tuple(each for service in CATALOGUE for each in schemas_of(service))
OURS = 'lint.isort.known-first-party = ["backbone", "deployment", "services", "tests"]'
LONGEST = "abcdefghijklmnopqrstuvwx"


@pytest.mark.parametrize(
    ("text", "event_type"),
    [
        ("sliceline.orders.order-completed.v1", "sliceline.orders.order-completed.v1"),
        ("order-completed", "sliceline.orders.order-completed.v1"),
        ("orders.order-completed", "sliceline.orders.order-completed.v1"),
        ("order-confirmed", "sliceline.orders.order-confirmed.v2"),
        ("order-confirmed.v1", "sliceline.orders.order-confirmed.v1"),
        ("kitchen.cancellation-refused", "sliceline.kitchen.cancellation-refused.v1"),
    ],
)
def test_a_type_is_understood_by_as_much_of_it_as_tells_it_from_others(text: str, event_type: str) -> None:
    assert type_of(text) == event_type


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("order-completd", "Did you mean orders.order-completed.v1"),
        ("sliceline.orders.order-confirmed.v3", "Did you mean orders.order-confirmed.v2"),
        ("cancellation-refused", "Say which: kitchen.cancellation-refused.v1 or delivery.cancellation-refused.v1."),
        ("xyz", "docs/events.md lists all events."),
        ("", "docs/events.md lists all events."),
    ],
)
def test_a_type_that_is_none_or_several_is_answered_with_those_there_are(text: str, said: str) -> None:
    with pytest.raises(Unwanted, match=said):
        type_of(text)


@pytest.mark.parametrize(
    "name", ["orders", "Ratings", "my-ratings", "9lives", "ab", "class", "mail", "health", "null", ""]
)
def test_a_name_that_is_taken_or_none_is_refused(name: str) -> None:
    with pytest.raises(Unwanted):
        wanted(name, ["order-completed"], [])


@pytest.mark.parametrize(
    "event", ["given", "Rating-given", "rating_given", "rating-given.v1", "rating-" + "x" * 40, ""]
)
def test_an_event_s_name_that_is_none_is_refused(event: str) -> None:
    with pytest.raises(Unwanted):
        wanted("ratings", ["order-completed"], [event])


@pytest.mark.parametrize("event", ["total-view", "batch-handler"])
def test_an_event_is_not_called_like_a_class_of_every_service(event: str) -> None:
    with pytest.raises(Unwanted, match=event):
        files_of(wanted("ratings", ["order-completed"], [event]))


def test_a_service_that_reads_nothing_is_refused() -> None:
    with pytest.raises(Unwanted, match="--reads"):
        wanted("ratings", [], ["rating-given"])


def test_no_service_is_called_like_a_path_of_the_backbone() -> None:
    paths = {path.split("/")[1] for path in document_of(SERVICES["loyalty"])["paths"]}
    assert {path for path in paths if NAME.fullmatch(path)} - {"customers"} <= {*PATHS, *TAKEN}


def test_a_port_follows_those_of_the_catalogue_and_is_nobody_else_s() -> None:
    port = wanted("ratings", ["order-completed"], []).port
    assert port > max(CATALOGUE.values())
    assert port not in FIXED.values()


@pytest.fixture(
    params=[
        wanted("ratings", ["order-completed"], []),
        wanted("ratings", ["order-completed"], ["rating-given"]),
        wanted(
            "ratings",
            ["kitchen.cancellation-refused", "delivery.cancellation-refused"],
            ["rating-given", "rating-taken"],
        ),
        wanted(LONGEST, ALL, ["order-completed", *(f"rating-{'x' * 31}-{letter}" for letter in "abc")]),
    ],
    ids=["one event", "and a publication", "names that two services use", "as much as there is"],
)
def service(request: pytest.FixtureRequest) -> Wanted:
    made: Wanted = request.param
    return made


def test_what_is_written_needs_no_linter(service: Wanted, tmp_path: Path) -> None:
    for name, text in files_of(service).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for command in (["check"], ["format", "--diff"]):
        config = ["--config", str(ROOT / "pyproject.toml"), "--config", OURS, "--no-cache"]
        ruff = [sys.executable, "-m", "ruff", *command, *config, "services", "tests"]
        done = subprocess.run(ruff, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_the_classes_of_one_service_are_all_called_differently(service: Wanted) -> None:
    events = files_of(service)[f"services/{service.name}/events.py"]
    classes = [line.split("(")[0] for line in events.splitlines() if line.startswith("class ")]
    assert len(set(classes)) == len(classes) == len(service.reads) + len(service.publishes) + 1


def test_a_list_in_which_the_place_is_not_found_is_named(tmp_path: Path) -> None:
    last = list(CATALOGUE)[-1]
    for name in ("README.md", "docker-compose.yml", "services/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text().replace(f"{last}-worker:", "mailer:"))
    with pytest.raises(Unwanted, match=rf"docker-compose.yml has no block of {last}-worker"):
        edited(tmp_path, wanted("ratings", ["order-completed"], []))


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    """A tree of one file, and a copy in which that is changed and others are new."""
    ours, copy = tmp_path / "ours", tmp_path / "copy"
    for root, texts in ((ours, {"list": "a"}), (copy, {"list": "a b", "b/one": "1", "b/two/three": "3"})):
        for name, text in texts.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    return ours, copy


def _files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_all_that_is_new_is_put_in_place_and_what_is_changed_comes_last(trees: tuple[Path, Path]) -> None:
    ours, copy = trees
    files = changes(ours, copy)
    assert files == ["b/one", "b/two/three", "list"]
    put_in_place(ours, copy, files)
    assert _files(ours) == {"list": "a b", "b/one": "1", "b/two/three": "3"}


@pytest.mark.parametrize("missing", ["b/two/three", "list"])
def test_nothing_is_left_of_what_cannot_be_put_in_place_whole(trees: tuple[Path, Path], missing: str) -> None:
    ours, copy = trees
    files = changes(ours, copy)
    (copy / missing).unlink()
    with pytest.raises(OSError, match="No such file"):
        put_in_place(ours, copy, [*files, "gone"])
    assert _files(ours) == {"list": "a"}
    assert [path.name for path in ours.iterdir()] == ["list"]
