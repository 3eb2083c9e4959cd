"""Released forms of contracts are told to whoever reads the event, in any version."""

from services.ledger.events import ContractReleased
from services.ledger.releases import Form, news, readers, released
from services.notifications import events as heard
from services.notifications.decisions import mail_about

V1, V2 = "sliceline.orders.order-confirmed.v1", "sliceline.orders.order-confirmed.v2"


def test_each_reader_of_any_version_is_told_once_with_its_owner() -> None:
    told = list(news([Form(V2, 2, "0.2.0")], {"sliceline.orders.order-confirmed": {"kitchen", "delivery"}}))
    assert told == [
        ContractReleased(
            contract="orders.order-confirmed.v2",
            form=2,
            release="0.2.0",
            owner="orders@sliceline.example",
            reader=reader,
            reader_owner=f"{reader}@sliceline.example",
        )
        for reader in ("delivery", "kitchen")
    ]


def test_what_nobody_reads_is_told_once_and_a_contract_that_has_gone_names_no_owner() -> None:
    [told] = news([Form("sliceline.orders.order-gone.v1", 1, "0.2.0")], {})
    assert told == ContractReleased(contract="orders.order-gone.v1", form=1, release="0.2.0")


def test_a_reader_of_the_newer_version_counts_as_one_of_the_event() -> None:
    assert "kitchen" in readers()["sliceline.orders.order-confirmed"]


def test_every_form_that_was_released_is_known_with_its_release() -> None:
    assert {form[:2] for form in released()} >= {(V1, 1), (V2, 1)}
    assert all(form.release for form in released())


def test_the_owner_of_a_reader_gets_a_mail_and_nobody_else_does() -> None:
    fact = heard.ContractReleased(
        contract="orders.order-confirmed.v2", form=2, release="0.2.0", owner="o@x", reader="kitchen", reader_owner="k@x"
    )
    decision = mail_about(fact)
    assert decision is not None
    assert (decision.state.recipient, decision.state.subject) == (
        "k@x",
        "Released: the contract orders.order-confirmed.v2",
    )
    assert "form 2" in decision.state.body
    assert "kitchen reads this event" in decision.state.body
    assert mail_about(heard.ContractReleased(contract="orders.order-confirmed.v2", form=2, release="0.2.0")) is None
