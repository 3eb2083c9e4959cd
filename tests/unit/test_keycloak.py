"""The realm for a Keycloak says of everybody what people.toml says. That services take its tokens was tried by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from deployment import keycloak, people


@pytest.fixture
def realm(tmp_path: Path) -> dict[str, Any]:
    people.prepare(tmp_path / "identity", private_keys=tmp_path / "keys")
    document: dict[str, Any] = json.loads(keycloak.prepare(tmp_path / "realm", tmp_path / "keys").read_text())
    return document


def test_everybody_gets_the_scopes_of_his_roles_and_no_others(realm: dict[str, Any]) -> None:
    """As Keycloak decides it: a client's default scope is in a token if its owner has a role that is mapped to it."""
    mapped = {each["clientScope"]: set(each["roles"]) for each in realm["scopeMappings"]}
    wanted = {**people.people(), **people.clients()}
    assert {user["id"] for user in realm["users"]} == wanted.keys()
    for user in realm["users"]:
        given = {scope for scope, roles in mapped.items() if roles & set(user["realmRoles"])}
        assert given == set().union(*(people.roles()[role] for role in wanted[user["id"]]))
    for client in realm["clients"]:
        assert mapped.keys() <= set(client["defaultClientScopes"])
        assert client["fullScopeAllowed"] is client["directAccessGrantsEnabled"] is False


def test_a_program_is_known_by_the_public_half_of_its_key(realm: dict[str, Any], tmp_path: Path) -> None:
    told = {each["clientId"]: each["attributes"] for each in realm["clients"]}
    assert told.keys() == {people.COMMAND_LINE, *people.clients()}
    for name in people.clients():
        drawn = (tmp_path / "identity" / "clients" / name / "public.jwks.json").read_text()
        assert json.loads(told[name]["jwks.string"]) == json.loads(drawn)
        assert "d" not in json.loads(drawn)["keys"][0]


def test_without_keys_there_is_no_realm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["keycloak", str(tmp_path / "realm"), str(tmp_path)])
    with pytest.raises(SystemExit, match=r"key\.pem: \./sliceline up draws it"):
        keycloak.main()


def test_passwords_are_drawn_once_and_read_by_the_owner_and_his_group(realm: dict[str, Any], tmp_path: Path) -> None:
    """Keycloak's image has another user, which is of that group in compose."""
    file = keycloak.prepare(tmp_path / "realm", tmp_path / "keys")
    assert json.loads(file.read_text()) == realm
    assert file.stat().st_mode & 0o777 == 0o640
    drawn = {user["id"]: user["credentials"][0]["value"] for user in realm["users"] if "credentials" in user}
    assert len({*drawn.values()}) == len(people.people())
