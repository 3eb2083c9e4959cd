"""What the image contains: every package of ours that its programs import, nothing of ./sliceline, and no secret."""

import io
import re
import subprocess
import sys
import tarfile

import pytest

from local import ROOT
from tests.unit.test_environment import OURS, imports

COPIED = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")} & OURS
DOCKERFILE = (ROOT / "Dockerfile").read_text()
STARTED = re.findall(r"command: \[(\w+)\.", (ROOT / "docker-compose.yml").read_text())


def _imported_by(package: str) -> set[str]:
    """The other packages of ours that one of them imports."""
    return {name for file in (ROOT / package).rglob("*.py") for name in imports(file)} & OURS - {package}


def test_the_image_has_the_packages_that_its_programs_are_made_of_and_no_others() -> None:
    assert {*STARTED, *(name for package in COPIED for name in _imported_by(package))} == COPIED


def test_nothing_else_is_sent_to_whoever_builds_the_image() -> None:
    """A secret that lies here, in .env, .sliceline or .git, can be in no layer: it is not there to be copied."""
    nothing, *rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert nothing == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    assert allowed == COPIED | {"requirements.image.lock", "buses.toml", "schemas"}
    assert [rule for rule in rules if not rule.startswith("!")] == ["**/__pycache__", "**/.*"]


def test_no_setting_of_the_image_and_no_argument_of_its_build_is_a_secret() -> None:
    told = re.findall(r"^\s*(?:ENV|ARG)\s((?:.*\\\n)*.*)", DOCKERFILE, re.MULTILINE)
    names = re.findall(r"(\w+)=", "\n".join(told)) + re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE)
    assert "SLICELINE_PORT" in names
    assert not [name for name in names if re.search(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL", name)]
    assert "--mount=type=secret" not in DOCKERFILE


def test_the_image_needs_no_shell_once_it_has_none() -> None:
    before, after = DOCKERFILE.split("-delete\n")
    assert "find /usr/bin " in before
    commands = re.findall(r"^\s*(?:RUN|CMD|ENTRYPOINT) (.*)", after, re.MULTILINE)
    assert len(commands) >= 4
    assert [each for each in commands if not each.startswith('["python", ')] == ['["services.orders.service"]']


KEY = b"-----BEGIN %s KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\n" % b"PRIVATE"


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("app/services/orders/api.py", b"TITLE = 1", ""),
        ("app/of-a-test.pem", KEY[:28], ""),
        ("app/.sliceline/passwords/postgres/password", b"x", "password in layer one.tar"),
        ("app/anything", KEY, "app/anything in layer one.tar"),
    ],
)
def test_a_secret_in_a_layer_is_found_also_where_a_later_one_hides_it(file: str, content: bytes, said: str) -> None:
    layers = {"one.tar": archive({file: content}), "two.tar": archive({"app/.wh.anything": b""})}
    image = archive({"config.json": b'{"Env": ["SLICELINE_PORT=8000"]}', **layers})
    assert said in looked_through(image)
    assert bool(said) == bool(looked_through(image))


def test_a_secret_among_the_settings_of_an_image_is_found() -> None:
    layers = {"one.tar": archive({"app/x": b""}), "two.tar": archive({"app/y": b""})}
    image = archive({"config.json": b'{"Env": ["SLICELINE_PASSWORD=word"]}', **layers})
    assert "SLICELINE_PASSWORD=word in config.json" in looked_through(image)


def archive(files: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tar:
        for name, content in files.items():
            told = tarfile.TarInfo(name)
            told.size = len(content)
            tar.addfile(told, io.BytesIO(content))
    return written.getvalue()


def looked_through(image: bytes) -> str:
    """What .ci/layers.py says of it, and that it fails with that; nothing where it finds none."""
    done = subprocess.run([sys.executable, ROOT / ".ci" / "layers.py"], input=image, capture_output=True, check=False)
    said = done.stderr.decode()
    assert done.returncode == bool(said)
    return said
