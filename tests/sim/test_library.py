"""The rest of the library inside a simulation: TLS, datagrams, and executors, which are refused."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import pytest
import trustme
from sim.scenarios import PORT, echo

import coop
from coop.address import ipv4
from coop.sim import Uncontrolled, run
from coop.sim.explore import attempt, check

SEEDS = 30

# -- TLS ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    """A server's context and a client's that trusts it."""
    folder = tmp_path_factory.mktemp("tls")
    issuer = trustme.CA(key_type=trustme.KeyType.RSA)
    certificate = issuer.issue_cert("server", key_type=trustme.KeyType.RSA)
    issuer.cert_pem.write_to_path(str(folder / "ca.pem"))
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    return (
        coop.tls_server_context(folder / "server.pem"),
        coop.tls_client_context(folder / "ca.pem"),
    )


@pytest.fixture
def secret_echo(contexts):
    """A scenario: a client tries again whatever happens, until it got its lines back."""
    server, client = contexts

    def scenario(sim):
        sim.host("server", lambda: coop.serve(echo, port=PORT, tls=server))
        done = 0
        while done < 3:
            try:
                with (
                    coop.timeout(60),
                    (yield from coop.connect("server", PORT, tls=client)) as conn,
                ):
                    while done < 3:
                        yield from conn.sendall(b"line %d\n" % done)
                        assert b"line %d\n" % done == (yield from conn.recv_until(b"\n"))
                        done += 1
            except (OSError, EOFError):
                yield from coop.sleep(1)
        return done

    return scenario


def test_tls_runs_in_a_simulation(secret_echo):
    assert 3 == run(secret_echo)


def test_tls_survives_every_network(secret_echo):
    check(secret_echo, SEEDS)


def test_tls_of_one_seed_is_one_run(secret_echo):
    """OpenSSL draws its own randomness, but with an RSA key no length depends on it."""
    for seed in range(1, 6):
        assert attempt(secret_echo, seed).unseed == attempt(secret_echo, seed).unseed


# -- datagrams ----------------------------------------------------------------------------------


def answer_in_capitals():
    with coop.open_datagram(port=53) as udp:
        while True:
            data, source = yield from udp.recv_from()
            yield from udp.send_to(data.upper(), source)


def ask(sim):
    """Ask five questions, each until it is answered."""
    server = sim.host("server", answer_in_capitals)
    with coop.open_datagram() as udp:
        for number in range(5):
            question = b"question %d" % number
            while True:
                yield from udp.send_to(question, ipv4(server.address, 53))
                with coop.move_on_after(2):
                    if (yield from udp.recv_from())[0] == question.upper():
                        break
    return number


def test_datagrams_run_in_a_simulation():
    assert 4 == run(ask)


def test_a_datagram_may_be_lost_doubled_and_late():
    for fault in ("datagram_lost", "datagram_doubled", "datagram_late"):
        assert fault in attempt(ask, 1, **{fault: 0.5}).plan
    check(ask, SEEDS, socket_exhausted=0)


def test_a_datagram_to_nobody_tells_a_connected_sender():
    def main(sim):
        server = sim.host("server")
        with coop.open_datagram() as udp:
            udp.socket.connect(ipv4(server.address, 9))
            udp.socket.send(b"is anybody there?")
            with pytest.raises(ConnectionRefusedError):
                yield from udp.recv_from()

    run(main)


# -- executors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_an_executor_is_refused_by_name(kind):
    def main(sim):
        yield from coop.run_in_executor(pool, len, "abc")

    with kind(1) as pool, pytest.raises(Uncontrolled) as caught:
        run(main)
    assert f"{kind.__name__}.submit was used inside a simulation, at {__file__}" in str(
        caught.value
    )
    assert "task 'main'" in str(caught.value)


class AtOnce(Executor):
    """Runs everything where it is submitted."""

    def submit(self, function, /, *args):
        future = Future()
        future.set_result(function(*args))
        return future


def test_an_executor_that_runs_at_once_is_none_of_that():
    def main(sim):
        return (yield from coop.run_in_executor(AtOnce(), len, "abc"))

    assert 3 == run(main)


def test_another_thread_cannot_call_into_a_simulation():
    def main(sim):
        scheduler = coop.current_scheduler()
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(scheduler.call_threadsafe, print)
            with pytest.raises(coop.MisuseError, match="no door for other threads"):
                future.result()
        yield

    run(main, allow=["threads"])
