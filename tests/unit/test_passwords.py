"""Passwords of roles in Postgres: drawn once, read from files, put into addresses, and never shown."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from backbone.settings import Settings
from backbone.storage.confined import customers_of
from backbone.values.passwords import apart, with_password
from deployment import scram
from deployment.addresses import database_url, in_database
from deployment.granting import statements_of_roles
from deployment.passwords import Passwords, UnfitPassword
from deployment.roles import READER, SUPERUSER, every_role, owner_of
from local import ROOT
from services import CATALOGUE

URL = "postgresql://orders@127.0.0.1:5432/orders"
SIGNS = "a@b:c/d?e#f%20&=+"
UNFIT = ["", " ", "two words", "two\nlines", "caf\u00e9", "x" * 257]


def test_a_password_is_drawn_once_for_its_owner_alone(tmp_path: Path) -> None:
    passwords = Passwords(tmp_path / "passwords")
    drawn = {role: passwords.of(role) for role in every_role(CATALOGUE)}
    assert len(set(drawn.values())) == len(drawn) > 30
    assert min(map(len, drawn.values())) == 32
    assert drawn == {role: Passwords(tmp_path / "passwords").of(role) for role in drawn}
    assert passwords.file("orders").stat().st_mode & 0o777 == 0o600


def test_a_new_password_is_coming_until_the_server_knows_it(tmp_path: Path) -> None:
    passwords = Passwords(tmp_path)
    first = passwords.of("orders")
    assert passwords.coming("orders") == first
    passwords.renew("orders")
    following = passwords.coming("orders")
    passwords.renew("orders")
    assert passwords.of("orders") == first != following == passwords.coming("orders")
    passwords.settle("orders")
    passwords.settle("orders")
    assert passwords.of("orders") == passwords.coming("orders") == following


def test_a_password_that_somebody_has_written_holds(tmp_path: Path) -> None:
    passwords = Passwords(tmp_path)
    passwords.file("orders").parent.mkdir(parents=True)
    passwords.file("orders").write_text(f"{SIGNS}\n")
    assert passwords.of("orders") == SIGNS


@pytest.mark.parametrize("text", UNFIT)
def test_what_is_no_password_is_refused_with_its_file_and_without_being_shown(tmp_path: Path, text: str) -> None:
    passwords = Passwords(tmp_path)
    passwords.file("orders").parent.mkdir(parents=True)
    passwords.file("orders").write_text(text)
    with pytest.raises(UnfitPassword, match="ASCII, without spaces") as refused:
        passwords.of("orders")
    assert str(refused.value).startswith(str(passwords.file("orders")))
    assert not text.strip() or text.strip() not in str(refused.value)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text("no folder")
    with pytest.raises(UnfitPassword, match="orders/password cannot be had: "):
        Passwords(tmp_path / "passwords").of("orders")


@pytest.mark.parametrize("password", ["simple", SIGNS])
def test_an_address_takes_a_password_and_gives_it_back(password: str) -> None:
    url = with_password(URL, password)
    assert apart(url) == (URL, password)
    assert (urlsplit(url).hostname, urlsplit(url).port, urlsplit(url).path) == ("127.0.0.1", 5432, "/orders")
    assert with_password(with_password(URL, "earlier"), password) == url
    assert apart("postgresql://127.0.0.1/orders") == ("postgresql://127.0.0.1/orders", "")


def test_the_address_of_a_database_is_on_the_server_of_the_superuser() -> None:
    server = "postgresql://postgres:secret@db.example:5433/postgres?sslmode=require"
    assert database_url(server, "orders", READER) == f"postgresql://{READER}@db.example:5433/orders?sslmode=require"
    assert in_database(server, "orders") == "postgresql://postgres:secret@db.example:5433/orders?sslmode=require"


def test_a_service_may_be_told_of_no_file(tmp_path: Path) -> None:
    assert Settings(database_url=URL).database_password_file is None
    assert Settings(database_url=URL, database_password_file="").database_password_file is None


@pytest.mark.parametrize("text", UNFIT)
def test_a_service_refuses_what_is_no_password_without_showing_it(tmp_path: Path, text: str) -> None:
    (file := tmp_path / "password").write_text(text)
    with pytest.raises(ValidationError) as refused:
        Settings(database_url=URL, database_password_file=file)
    [error] = refused.value.errors()
    assert error["loc"] == ("database_password_file",)
    assert not text.strip() or text.strip() not in str(error)


def test_a_service_names_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"cannot be read \(FileNotFoundError\)"):
        Settings(database_url=URL, database_password_file=tmp_path / "none")


def test_what_is_kept_is_of_one_password_alone_and_another_each_time() -> None:
    kept = scram.verifier("pencil")
    assert scram.is_of(kept, "pencil")
    assert scram.verifier("pencil") != kept
    for other in ("pencils", "Pencil", ""):
        assert not scram.is_of(kept, other)
    for nothing in (None, "", "md5a3556571e93b0d20722ba62be61e8c2d", "pencil"):
        assert not scram.is_of(nothing, "pencil")


def test_what_the_server_is_told_holds_no_password_and_is_said_again_only_for_a_new_one(tmp_path: Path) -> None:
    passwords = Passwords(tmp_path)
    first = list(statements_of_roles(["orders"], {}, passwords))
    assert len([each for each in first if " PASSWORD 'SCRAM-SHA-256$" in each]) == len(every_role(["orders"]))
    assert not [role for role in every_role(["orders"]) if passwords.of(role) in "; ".join(first)]
    kept: dict[str, str | None] = {role: scram.verifier(passwords.of(role)) for role in every_role(["orders"])}
    kept[customers_of("orders")] = None
    again = list(statements_of_roles(["orders"], kept, passwords))
    assert not [each for each in again if each.startswith("CREATE") or " PASSWORD " in each]


def command(*words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    told = {name: value for name, value in os.environ.items() if not name.startswith("SLICELINE_")}
    run = [sys.executable, "-P", "-m", "deployment.passwords", *words]
    env = {**told, "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(run, env=env, capture_output=True, text=True)


def test_the_command_draws_all_and_shows_one(tmp_path: Path) -> None:
    drawn = command(SLICELINE_PASSWORDS=str(tmp_path), SLICELINE_POSTGRES_PASSWORD="told before")
    assert (drawn.returncode, "ASCII" in drawn.stderr, "told before" in drawn.stderr) == (1, True, False)
    drawn = command(SLICELINE_PASSWORDS=str(tmp_path), SLICELINE_POSTGRES_PASSWORD="told-before")
    assert (drawn.returncode, drawn.stdout, drawn.stderr) == (0, "", "")
    assert {each.name for each in (tmp_path / "services").iterdir()} == CATALOGUE.keys()
    others = {SUPERUSER, READER, *map(owner_of, CATALOGUE)}
    assert {each.name for each in tmp_path.iterdir()} == {"services"} | others
    assert Passwords(tmp_path).of(SUPERUSER) == "told-before"
    shown = command("orders_owner", SLICELINE_PASSWORDS=str(tmp_path))
    assert shown.stdout == f"{Passwords(tmp_path).of('orders_owner')}\n"
    assert command("orders_owner", "--renew", SLICELINE_PASSWORDS=str(tmp_path)).returncode == 0
    assert Passwords(tmp_path).coming("orders_owner") != shown.stdout.strip() == Passwords(tmp_path).of("orders_owner")


def test_the_command_says_what_it_lacks(tmp_path: Path) -> None:
    assert "Set SLICELINE_PASSWORDS" in command().stderr
    for words in (["waiter"], ["--renew"]):
        unknown = command(*words, SLICELINE_PASSWORDS=str(tmp_path))
        assert (unknown.returncode, "name one of the roles: alerts, alerts_owner, " in unknown.stderr) == (2, True)
