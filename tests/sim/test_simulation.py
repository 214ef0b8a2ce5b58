"""Simulations: hosts, links, crashes, time, and how a run is judged."""

from __future__ import annotations

import signal
import socket

import pytest
from sim.scenarios import PORT, echo, patient_echo

import coop
from coop.address import ipv4
from coop.sim import LeakError, LoggedError, Simulation, Unfinished, run


def talk(host: str = "server", *, words: bytes = b"hello\n"):
    with (yield from coop.connect(host, PORT)) as conn:
        yield from conn.sendall(words)
        return (yield from conn.readline())


def serve_echo():
    yield from coop.serve(echo, port=PORT)


# -- running ------------------------------------------------------------------------------------


def test_the_result_of_main_is_returned():
    def main(sim):
        sim.host("server", serve_echo)
        return (yield from talk())

    assert b"hello\n" == run(main)


def test_main_may_be_a_generator():
    def main():
        yield from coop.sleep(3600)
        return coop.current_scheduler().clock.now()

    assert 3600.0 == run(main())


def test_one_host_is_enough():
    def main(sim):
        server = coop.spawn(serve_echo())
        yield from coop.sleep(1)
        answer = yield from talk("localhost")
        server.cancel()
        return answer

    assert b"hello\n" == run(main)


def test_the_error_of_main_comes_with_what_struck():
    def main(sim):
        yield from coop.connect("nowhere", 1)

    with pytest.raises(coop.ResolveError) as caught:
        run(main, seed=0, name_unknown=0)
    assert "seed 0" in caught.value.__notes__[0]


def test_servers_of_a_simulation_leave_the_signals_of_the_process_alone():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    def main(sim):
        sim.host("server", serve_echo)
        yield from talk()
        return signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    assert before == run(main)


def test_async_functions_are_programs_too():
    async def main():
        await coop.sleep(5)
        return "done"

    assert "done" == run(main())


def test_a_program_that_fails_ends_the_run():
    def broken():
        yield from coop.sleep(1)
        raise ZeroDivisionError("broken")

    def main(sim):
        sim.host("server", broken)
        yield from coop.sleep(100)

    with pytest.raises(ZeroDivisionError):
        run(main)


def test_nothing_that_can_ever_happen_is_a_deadlock():
    def main(sim):
        sim.host("server", serve_echo)
        with (yield from coop.connect("server", PORT)) as conn:
            yield from conn.recv()

    with pytest.raises(coop.Deadlock, match=r"readable fd .* test_simulation.py"):
        run(main)


def test_a_run_that_does_not_finish_is_told():
    def main(sim):
        while True:
            yield from coop.sleep(1)

    with pytest.raises(Unfinished, match="7260"):
        run(main)


def test_a_spin_is_told():
    def main(sim):
        while True:
            yield

    with pytest.raises(Unfinished, match="spins"):
        run(main)


def test_a_simulation_inside_a_run_is_refused():
    def main():
        run(patient_echo)
        yield

    with pytest.raises(coop.MisuseError):
        coop.run(main())


def test_a_simulation_can_be_driven_step_by_step():
    with Simulation() as sim:
        sim.host("server", serve_echo)
        assert b"hello\n" == sim.do(talk())
        sim.advance(10)
        assert sim.now >= 10
        assert b"again\n" == sim.do(talk(words=b"again\n"), on="another")


# -- hosts --------------------------------------------------------------------------------------


def test_hosts_have_addresses_and_names():
    def main(sim):
        server = sim.host("server", serve_echo)
        by_address = yield from talk(server.address)
        return by_address, (yield from talk("SERVER."))

    assert (b"hello\n", b"hello\n") == run(main)


def test_a_killed_host_refuses_until_it_starts_again():
    def main(sim):
        host = sim.host("server", serve_echo)
        conn = yield from coop.connect("server", PORT)
        with conn:
            sim.crash("server")
            assert b"" == (yield from conn.recv())
        with pytest.raises(ConnectionRefusedError):
            yield from talk()
        host.restart()
        assert 2 == host.starts
        return (yield from talk())

    assert b"hello\n" == run(main)


def test_a_crash_runs_no_cleanup():
    cleaned = []

    def program():
        try:
            yield from coop.sleep(1000)
        finally:
            cleaned.append("cleaned")

    with Simulation() as sim:
        sim.host("server", program)
        sim.advance(1)
        sim.crash("server")
        sim.advance(1)
        assert [] == cleaned


@pytest.mark.parametrize("power", [False, True])
def test_a_host_that_has_crashed_cannot_crash_again(power):
    with Simulation() as sim:
        host = sim.host("server", serve_echo)
        sim.crash("server", power=power)
        state = "down" if power else "killed"
        with pytest.raises(coop.MisuseError, match=f"server .* {state}> has no process to kill"):
            sim.crash("server")
        sim.crash("server", power=True)
        host.start()
        sim.crash("server")
        assert 2 == host.starts


@pytest.mark.parametrize("faults", [{}, {"cancel": 0.5}])
def test_a_host_that_crashes_itself_takes_no_other_step(faults):
    steps = []

    def work(name):
        for number in range(100):
            steps.append(name)
            if number == 3 and name == "a":
                steps.append("crash")
                simulation[0].crash("server")
            yield None

    def program():
        for name in "abc":
            coop.spawn(work(name))
        yield from coop.sleep(1000)

    def main(sim):
        simulation.append(sim)
        sim.host("server", program)
        yield from coop.sleep(1)

    simulation = []
    for seed in range(20):
        steps.clear()
        simulation.clear()
        run(main, seed, **faults)
        if "crash" in steps:  # or the one who does it was cancelled before
            assert "crash" == steps[-1]


def test_a_host_without_power_says_nothing_and_then_resets():
    def main(sim):
        sim.host("server", serve_echo)
        with (yield from coop.connect("server", PORT)) as conn:
            sim.crash("server", power=True)
            yield from conn.sendall(b"anybody there?")
            with coop.move_on_after(10) as scope:
                yield from conn.recv()
            assert scope.caught
            sim.restart("server")
            with pytest.raises(ConnectionResetError):
                yield from conn.recv()

    run(main)


def test_a_connect_to_a_host_without_power_times_out():
    def main(sim):
        sim.host("server", serve_echo)
        sim.crash("server", power=True)
        with pytest.raises(TimeoutError):
            yield from coop.connect("server", PORT)
        return sim.now

    assert 127.0 == run(main)


def test_an_address_nobody_has_is_unreachable():
    def main(sim):
        with pytest.raises(OSError, match="No route to host"):
            yield from coop.connect("10.9.9.9", 1)

    run(main)


def test_descriptors_run_out():
    def main(sim):
        sim.host("server", serve_echo)
        main_host = sim.world.hosts["main"]
        main_host.most_descriptors = 1
        with (yield from coop.connect("server", PORT)):
            with pytest.raises(OSError, match="Too many open files"):
                yield from coop.connect("server", PORT)

    run(main)


# -- links --------------------------------------------------------------------------------------


def test_a_link_has_latency():
    def main(sim):
        sim.host("server", serve_echo)
        sim.link("main", "server", latency=0.25)
        yield from talk()
        return sim.now

    assert 1.0 == run(main)  # two round trips: connect, and the words


def test_a_link_has_bandwidth():
    def main(sim):
        sim.host("server", serve_echo)
        sim.link("main", "server", latency=0.0, bandwidth=1000.0)
        yield from coop.sleep(1)  # or nobody would listen yet
        yield from talk(words=b"x" * 999 + b"\n")
        return sim.now

    assert 3.0 == run(main)


def test_a_partition_one_way_and_its_healing():
    def main(sim):
        sim.host("server", serve_echo)
        with (yield from coop.connect("server", PORT)) as conn:
            sim.partition("main", "server", both_ways=False)
            yield from conn.sendall(b"hello\n")
            with coop.move_on_after(5) as scope:
                yield from conn.readline()
            assert scope.caught
            sim.heal()
            return (yield from conn.readline())

    assert b"hello\n" == run(main)


def test_a_partition_for_ever_breaks_the_connection():
    def main(sim):
        sim.host("server", serve_echo)
        with (yield from coop.connect("server", PORT)) as conn:
            sim.calm()
            sim.partition("main", "server")
            yield from conn.sendall(b"hello\n")
            with pytest.raises(TimeoutError):
                yield from conn.recv()
            return sim.now

    assert 924 < run(main, faults_for=5000.0) < 1100


def test_a_held_link_keeps_messages_until_they_are_released():
    def main(sim):
        sim.host("server", serve_echo)
        with (yield from coop.connect("server", PORT)) as conn:
            sim.hold("main", "server")
            yield from conn.sendall(b"one")
            yield from conn.sendall(b"two\n")
            conn.shutdown_send()
            yield from coop.sleep(2000)  # far beyond what a partition would survive
            kept = sim.held("main", "server")
            assert [b"one", b"two\n", b""] == [message.data for message in kept]
            assert ["segment", "segment", "end"] == [message.what for message in kept]
            assert kept[0].sender.startswith("10.0.0.1:")
            assert [] == sim.held("server", "main")
            sim.release("main", "server")
            assert [] == sim.held("main", "server")
            return (yield from conn.readline())

    assert b"onetwo\n" == run(main, faults_for=5000.0)


def test_one_way_can_be_held():
    def main(sim):
        sim.host("server", serve_echo)
        with (yield from coop.connect("server", PORT)) as conn:
            sim.hold("server", "main", both_ways=False)
            yield from conn.sendall(b"hello\n")
            yield from coop.sleep(1)
            assert [b"hello\n"] == [message.data for message in sim.held("server", "main")]
            sim.heal()
            return (yield from conn.readline())

    assert b"hello\n" == run(main)


def test_a_connect_and_a_datagram_can_be_held():
    def main(sim):
        other = sim.host("server", serve_echo)
        sim.hold("main", "server")
        with coop.open_datagram() as udp:
            yield from udp.send_to(b"news", ipv4(other.address, 53))
            talking = coop.spawn(talk())
            yield from coop.sleep(0.5)
            kept = sim.held("main", "server")
            sim.release("main", "server")
        assert {"connect": b"", "datagram": b"news"} == {each.what: each.data for each in kept}
        return (yield from talking.join())

    assert b"hello\n" == run(main)


def test_a_reset_can_be_held():
    def main(sim):
        sim.host("server", lambda: coop.serve(hang_up, port=PORT))
        with (yield from coop.connect("server", PORT)) as conn:
            yield from conn.sendall(b"hello\n")
            sim.hold("server", "main", both_ways=False)
            yield from coop.sleep(1)
            assert ["reset"] == [message.what for message in sim.held("server", "main")]
            sim.release("server", "main")
            with pytest.raises(ConnectionResetError):
                yield from conn.recv()

    run(main)


def test_datagrams_travel_too():
    def main(sim):
        host = sim.host("other")
        udp = sim.world.hosts["main"].network.open_datagram(ipv4("0.0.0.0", 0))
        other = host.network.open_datagram(ipv4("0.0.0.0", 53))
        with udp, other:
            udp.send_to(b"question", ipv4(host.address, 53))
            yield from coop.sleep(1)
            data, source = other.recv_from(100)
            other.send_to(data + b"?", source)
            yield from coop.wait_readable(udp)
            return udp.recv_from(100)[0]

    assert b"question?" == run(main)


# -- judgement ----------------------------------------------------------------------------------


def leaky(sim):
    sim.host("server", serve_echo)
    yield from coop.connect("server", PORT)


def test_a_socket_left_open_fails_the_run():
    with pytest.raises(LeakError, match="main: socket"):
        run(leaky)


def test_a_leak_can_be_allowed():
    run(leaky, allow=["leaks"])


def test_what_is_there_at_some_time_is_listed():
    def main(sim):
        sim.host("server", serve_echo)
        with (yield from coop.connect("server", PORT)):
            sleeper = coop.spawn(coop.sleep(60), name="sleeper")
            yield from coop.sleep(1)
            left = "\n".join(sim.leaks())
            sleeper.cancel()
        return left

    left = run(main)
    assert "main: socket 10.0.0.1:32768>10.0.0.2:7000 (descriptor 1000000) is open" in left
    assert "server: socket 0.0.0.0:7000" in left
    assert "main: <task 'sleeper' parked> is not done" in left
    assert "main: an alarm of 'sleeper' is set for 60.002000" in left


def write_only(sim):
    """A bug: a writer that never looks whether the reader is still there."""
    sim.host("server", lambda: coop.serve(hang_up, port=PORT))
    with (yield from coop.connect("server", PORT)) as conn:
        yield from conn.sendall(b"hello\n")
        yield from coop.sleep(10)


def hang_up(conn):
    yield from conn.recv()
    conn.socket.set_linger(0)
    conn.close()


def test_an_error_that_nobody_looks_at_fails_the_run():
    with pytest.raises(LeakError, match=r"main: ECONNRESET of 10\.0\.0\.1:.* was never looked at"):
        run(write_only)


def test_an_unread_error_can_be_allowed():
    run(write_only, allow=["unread"])


def test_an_unread_error_of_a_datagram_fails_the_run():
    def main(sim):
        sim.host("other")
        network = sim.world.hosts["main"].network
        with network.open_datagram(ipv4("0.0.0.0", 0)) as udp:
            udp.connect(ipv4("10.0.0.1", 9))
            udp.send(b"is anybody there?")
            yield from coop.sleep(1)

    with pytest.raises(LeakError, match="main: ECONNREFUSED of udp"):
        run(main)


def test_an_error_that_was_looked_at_is_no_leak():
    def main(sim):
        sim.host("server", lambda: coop.serve(hang_up, port=PORT))
        with (yield from coop.connect("server", PORT)) as conn:
            yield from conn.sendall(b"hello\n")
            with pytest.raises(ConnectionResetError):
                yield from conn.recv()

    run(main)


def test_after_a_fault_an_unread_error_is_the_faults():
    def main(sim):
        sim.host("server", serve_echo)
        with (yield from coop.connect("server", PORT)) as conn:
            yield from conn.sendall(b"hello\n")
            yield from coop.sleep(10)

    with Simulation(plan="reset@2") as sim:
        sim.do(main(sim))
    assert "ECONNRESET" in sim.unread()[0]


def test_a_failed_handler_fails_the_run():
    def handler(conn):
        raise ZeroDivisionError("in the handler")
        yield

    def main(sim):
        sim.host("server", lambda: coop.serve(handler, port=PORT))
        with (yield from coop.connect("server", PORT)) as conn:
            yield from conn.recv()

    with pytest.raises(LoggedError, match="ZeroDivisionError: in the handler"):
        run(main)
    run(main, allow=["errors"])


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="leaks"):
        Simulation(allow=["everything"])
    with pytest.raises(TypeError, match="short_read"):
        Simulation(short_reads=0.5)
    with pytest.raises(TypeError, match="whole number"):
        Simulation("seven")
    with pytest.raises(ValueError, match="no host is called"):
        Simulation().crash("server")


def test_faults_stop_and_then_everything_must_finish():
    for seed in range(1, 40):
        assert 15 == run(patient_echo, seed, reset=0.2, cut=0.2, faults_for=30.0)


def test_a_host_that_may_crash_does_and_comes_back():
    starts = []

    def main(sim):
        host = sim.host("server", serve_echo, may_crash=True)
        answers = 0
        while answers < 20:
            try:
                with coop.timeout(10):
                    yield from talk()
                    answers += 1
            except (OSError, EOFError):
                yield from coop.sleep(1)
        starts.append(host.starts)

    for seed in range(5):
        run(main, seed, crash=0.1)
    assert max(starts) > 1


@pytest.mark.parametrize("deed", ["restart", "cut the power"])
def test_a_host_that_was_seen_to_does_not_come_back_by_itself(deed):
    starts = []

    def program():
        starts.append("start")
        yield from coop.serve(echo, port=PORT)

    def main(sim):
        host = sim.host("server", program, may_crash=True)
        while not host.starts or host.state.value == "running":
            yield from coop.sleep(0.01)
        sim.calm()
        host.restart() if deed == "restart" else host.crash(power=True)
        yield from coop.sleep(3600)
        assert host.state.value == ("running" if deed == "restart" else "down")

    run(main, 1, crash=0.5)
    assert ["start"] * (2 if deed == "restart" else 1) == starts


def test_a_real_file_cannot_be_waited_for():
    one, other = socket.socketpair()

    def main(sim):
        yield from coop.wait_readable(one)

    with one, other, pytest.raises((coop.MisuseError, ValueError), match="not of this simulated"):
        run(main)


def test_real_files_can_be_sent(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100_000)

    def send_it(conn):
        with path.open("rb") as file:
            yield from conn.sendfile(file)

    def main(sim):
        sim.host("server", lambda: coop.serve(send_it, port=PORT))
        with (yield from coop.connect("server", PORT)) as conn:
            return len((yield from conn.recv_exactly(100_000)))

    assert 100_000 == run(main)
