import os
import socket

from backbone.values.brokers import Brokers
from local import ports
from local.layout import Layout
from services import CATALOGUE


def listener(address: str) -> socket.socket:
    server = socket.socket()
    server.bind((address, 0))
    server.listen()
    return server


def test_a_free_port_is_free_until_somebody_listens() -> None:
    assert ports.is_free(ports.free_port())
    with listener(ports.HOST) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_a_listener_on_all_addresses_takes_the_loopback_port_too() -> None:
    with listener("0.0.0.0") as server:  # noqa: S104 (what is tested)
        assert not ports.is_free(server.getsockname()[1])


def test_the_owner_of_a_taken_port_is_named() -> None:
    with listener(ports.HOST) as server:
        port = server.getsockname()[1]
        taken = ports.taken([port, ports.free_port()])
    assert list(taken) == [port]
    assert taken[port].pid == os.getpid()
    assert f"(pid {os.getpid()})" in str(taken[port])


def test_an_owner_nobody_may_know_is_said_to_be_so() -> None:
    assert str(ports.Owner(None, None)) == "a process this user may not look at"


def test_an_offset_moves_every_port() -> None:
    usual, moved = Layout(), Layout(offset=1000)
    assert {port + 1000 for port in usual.ports()} == set(moved.ports())
    assert set(CATALOGUE.values()) < set(usual.ports())


def test_ports_of_servers_that_the_user_names_are_not_ours() -> None:
    named = Layout(postgres_url="postgresql://db.example/postgres", kafka=Brokers("kafka.example:9092"))
    assert not {"postgres", "kafka", "kafka controller", "kafka admins"} & set(named.ports().values())
    assert named.bootstrap() == "kafka.example:9092"
