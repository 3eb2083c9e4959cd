"""What is sealed: how it looks, that only its own key opens it, and that contracts take it where it may stand."""

import base64
import stat

import msgspec
import orjson
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from backbone.consuming.masking import Mask
from backbone.events import contracts
from backbone.events.contracts import ContractBroken
from backbone.sealing.cipher import NotOurs, new_key, unwrapped, wrapped
from backbone.settings import Settings
from backbone.values.fields import Line, Prose
from backbone.values.sealed import LONGEST, SEALED, holds_sealed, is_sealed
from deployment.catalogue import sample_of
from deployment.master_key import draw_once
from services.orders.events import Customer, OrderPlaced

MASTER, OTHER = b"m" * 32, b"o" * 32
URL = "postgresql://role:word@host:5432/name"


def ciphertext(sealed: str) -> str:
    found = SEALED.fullmatch(sealed)
    assert found
    return found[2]


@given(st.text(max_size=2000))
def test_a_sealed_text_is_one_printable_word_that_opens_to_what_it_was(text: str) -> None:
    key = new_key("orders")
    sealed = key.seal(text)
    assert is_sealed(sealed)
    assert sealed.isascii()
    assert sealed.isprintable()
    assert " " not in sealed
    assert len(sealed) <= LONGEST
    assert key.open(ciphertext(sealed)) == text


def test_a_text_that_is_sealed_twice_looks_different() -> None:
    key = new_key("orders")
    assert key.seal("Ada") != key.seal("Ada")


def test_a_sealed_text_opens_with_no_other_key_and_not_changed() -> None:
    key, sealed = new_key("orders"), new_key("orders").seal("Ada")
    with pytest.raises(NotOurs):
        key.open(ciphertext(sealed))
    own = ciphertext(key.seal("Ada"))
    with pytest.raises(NotOurs):
        key.open(own[:-2] + ("AA" if own[-2:] != "AA" else "BB"))


def test_a_sealed_text_is_what_aes_256_gcm_makes_of_it_under_the_name_of_its_key() -> None:
    key = new_key("orders")
    sealed = base64.urlsafe_b64decode(ciphertext(key.seal("Ada")) + "==")
    assert len(key.secret) == 32
    assert AESGCM(key.secret).decrypt(sealed[:12], sealed[12:], key.name.encode()) == b"Ada"


def test_what_is_no_base64_at_all_is_not_ours() -> None:
    """The form lets any number of characters pass, of which not all are bytes."""
    key = new_key("orders")
    text = f"sealed:1:{key.name}:{'A' * 41};"
    assert is_sealed(text)
    with pytest.raises(NotOurs):
        key.open(ciphertext(text))


def test_a_key_is_unwrapped_by_the_master_key_that_wrapped_it_and_under_its_own_name() -> None:
    key = new_key("orders")
    stored = wrapped(key, MASTER)
    assert key.secret not in stored
    assert unwrapped(key.name, stored, [MASTER]) == unwrapped(key.name, stored, [OTHER, MASTER]) == key
    with pytest.raises(NotOurs):
        unwrapped(key.name, stored, [OTHER])
    with pytest.raises(NotOurs):
        unwrapped(new_key("orders").name, stored, [MASTER])


def test_a_key_shows_its_secret_to_no_log() -> None:
    key = new_key("orders")
    assert key.name in repr(key)
    assert repr(key.secret) not in repr(key)


def test_what_stands_behind_a_sealed_text_is_no_part_of_it() -> None:
    sealed = new_key("orders").seal("Ada")
    assert [found[0] for found in SEALED.finditer(f"<{sealed}>{sealed}abc")] == [sealed, sealed]


@pytest.mark.parametrize(
    "text", ["sealed", "sealed:1:orders.short:abc;", "It was sealed: yes;", "sealed:2:orders.x:y;"]
)
def test_what_people_write_about_seals_is_not_taken_for_one(text: str) -> None:
    assert not holds_sealed(text)


def test_nobody_brings_in_a_text_that_somebody_else_has_sealed() -> None:
    class Body(BaseModel):
        line: Line = "a line"
        prose: Prose = "prose"

    stolen = new_key("orders").seal("Ada")
    for field in ("line", "prose"):
        with pytest.raises(ValidationError, match="must not hold a sealed text"):
            Body.model_validate({field: f"look: {stolen}"})


def test_an_event_may_be_sealed_where_its_contract_says_so_and_nowhere_else() -> None:
    seal = new_key("orders").seal
    placed = msgspec.convert(sample_of(OrderPlaced.TYPE), OrderPlaced)
    customer = Customer(placed.customer.id, seal("A" * 200), seal("ada@example.com"))
    sealed = msgspec.structs.replace(placed, customer=customer, address=seal("1 Mill Lane"))
    contracts.check(OrderPlaced.TYPE, msgspec.json.encode(sealed))
    for stranger in (
        {"order": seal("7")},
        {"customer": {"id": seal("ada"), "name": "Ada", "email": "ada@example.com"}},
    ):
        with pytest.raises(ContractBroken):
            contracts.check(OrderPlaced.TYPE, {**orjson.loads(msgspec.json.encode(placed)), **stranger})


@pytest.mark.parametrize("email", ["ada", "sealed:1:orders.short:abc;", ""])
def test_what_is_neither_sealed_nor_of_its_own_shape_breaks_the_contract(email: str) -> None:
    data = sample_of(OrderPlaced.TYPE)
    with pytest.raises(ContractBroken):
        contracts.check(OrderPlaced.TYPE, {**data, "customer": {**data["customer"], "email": email}})


@pytest.mark.parametrize("key", ["short", "bm90IDMyIGJ5dGVz", "é", "*" * 44])
def test_a_master_key_that_is_none_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(database_url=URL, master_key=key)
    [error] = refused.value.errors()
    assert "must be 32 bytes in base64" in error["msg"]
    assert key not in error["msg"]


def test_of_two_master_keys_each_is_read_and_has_to_be_one() -> None:
    both = [base64.b64encode(key).decode() for key in (OTHER, MASTER)]
    assert Settings(database_url=URL, master_key=" ".join(both)).masters == (OTHER, MASTER)
    with pytest.raises(ValidationError, match="must be 32 bytes in base64"):
        Settings(database_url=URL, master_key=f"{both[0]} short")


def test_a_mask_leaves_what_is_sealed_as_it_is_since_it_tells_nothing() -> None:
    mask, sealed = Mask(), new_key("orders").seal("Ada")
    mask.learn({"customer": {"name": sealed, "email": "ada@example.com"}})
    assert mask.value({"customer": {"name": sealed}}) == {"customer": {"name": sealed}}
    assert "ada@example.com" not in str(mask.value({"email": "ada@example.com"}))


def test_a_master_key_is_drawn_once_for_its_owner_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("keys") / "data" / "master-key"
    draw_once(file)
    drawn = file.read_text()
    draw_once(file)
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (drawn, 0o600)
    assert [each.name for each in file.parent.iterdir()] == ["master-key"]
    assert Settings(database_url=URL, master_key_file=file).masters


def test_a_master_key_is_read_from_its_file_and_a_missing_file_is_named(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    file = tmp_path_factory.mktemp("keys") / "master-key"
    with pytest.raises(ValidationError, match="names a file that cannot be read"):
        Settings(database_url=URL, master_key_file=file)
    file.write_text("bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW0=\n")
    settings = Settings(database_url=URL, master_key_file=file)
    assert settings.masters == (MASTER,)
    assert "bW1t" not in repr(settings)
    assert Settings(database_url=URL).masters == ()
