"""The bench's own arithmetic: order, medians, ratios, who was the limit, which bar is met."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import bars, environment, loads, processes, results, tables
from bench.__main__ import command_line, minutes
from bench.bars import BARS, BEST, ITSELF, Bar, judge_case
from bench.catalogue import WORKS
from bench.cpu import CpuTime
from bench.loads import LoadFailed, Slice, note_of, read_wrk
from bench.peers import Peer, choose
from bench.results import Case, Result
from bench.rounds import Failed, Spread, alternate, ratios, spread

MILLISECOND = 1_000_000


def test_slices_alternate_and_the_warm_up_is_dropped() -> None:
    order = []

    def measure(name: str) -> int:
        order.append(name)
        return len(order)

    measured, failures = alternate(["a", "b"], measure, rounds=2)
    assert ["a", "b"] * 3 == order
    assert ({"a": [3, 5], "b": [4, 6]}, {}) == (measured, failures)


def test_whoever_fails_takes_part_no_more_and_the_others_go_on() -> None:
    def measure(name: str) -> int:
        if name == "b":
            raise Failed("it fell over")
        return 1

    assert ({"a": [1, 1]}, {"b": "it fell over"}) == alternate(["a", "b"], measure, rounds=2)


def test_the_spread_is_the_median_and_the_quartiles() -> None:
    assert Spread(3, 2, 4) == spread([5, 1, 2, 4, 3])
    assert Spread(7, 7, 7) == spread([7])


def test_a_ratio_compares_the_two_slices_of_one_round() -> None:
    assert [2.0, 0.5] == ratios([4, 8], [2, 16])


@pytest.mark.parametrize("under", [[1.0], [0.0, 1.0], []])
def test_there_is_no_ratio_to_what_is_missing_or_nothing(under: list[float]) -> None:
    assert [] == ratios([1.0, 2.0], under)


def slice_of(server_share: float, load_share: float, load_queued: float = 0.0) -> Slice:
    wall = 100 * MILLISECOND
    load = CpuTime(int(load_share * wall), int(load_queued * wall))
    return Slice(1000, wall, CpuTime(int(server_share * wall), 0), load, {})


@pytest.mark.parametrize(
    ("taken", "is_limit"),
    [
        (slice_of(server_share=0.5, load_share=0.99), True),
        (slice_of(server_share=0.5, load_share=0.6, load_queued=0.39), True),
        (slice_of(server_share=0.99, load_share=0.99), False),
        (slice_of(server_share=0.99, load_share=0.5), False),
        (slice_of(server_share=0.3, load_share=0.3), False),
    ],
)
def test_the_load_was_the_limit_when_it_was_full_and_the_server_was_not(taken, is_limit) -> None:
    assert is_limit == taken.is_load_the_limit
    assert ("load was the limit in 1 of 1 slices" if is_limit else "") == note_of([taken])


def test_the_cost_is_the_servers_time_by_the_operations() -> None:
    assert 50_000 == slice_of(server_share=0.5, load_share=0).cost


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("  57056 requests in 401.46ms, 8.76MB read\n", (57056, 401_460_000)),
        ("  168255 requests in 1.00s, 25.83MB read\n", (168255, 1_000_000_000)),
    ],
)
def test_wrk_says_how_many_requests_and_how_long(output: str, expected: tuple[int, int]) -> None:
    assert expected == read_wrk(SimpleNamespace(name="peer"), output)


@pytest.mark.parametrize(
    "output",
    [
        "10 requests in 1.00s, 1MB read\n  Non-2xx or 3xx responses: 3\n",
        "10 requests in 1.00s, 1MB read\n  Socket errors: connect 0, read 1, write 0, timeout 0\n",
        "0 requests in 1.00s, 0B read\n",
        "nothing",
    ],
)
def test_a_server_that_errs_under_wrk_is_left_out(output: str) -> None:
    with pytest.raises(LoadFailed, match="peer: wrk says"):
        read_wrk(SimpleNamespace(name="peer"), output)


CASE = Case(
    "switch",
    "ns",
    {"coop": [10, 20, 30], "a": [20, 20, 20], "b": [40, 40, 40], "C (limit)": [5, 5, 5]},
)


@pytest.mark.parametrize(
    ("peer", "limit", "value", "compared", "word"),
    [
        ("a", 1.0, 1.0, "a", "met"),
        ("b", 0.4, 0.5, "b", "missed"),
        ("C (limit)", 4.0, 4.0, "C (limit)", "met"),
        (BEST, 0.9, 1.0, "a", "missed"),
        (ITSELF, 20, 20, ITSELF, "met"),
        ("nobody", 1.0, None, "nobody", "not recorded"),
    ],
)
def test_a_bar_is_judged_by_the_median_ratio(peer, limit, value, compared, word) -> None:
    verdict = judge_case(Bar("scheduler", "switch", peer, limit), CASE)
    assert (value, compared, word) == (verdict.value, verdict.peer, verdict.word)


def test_a_bar_that_names_a_recorded_work_finds_its_case() -> None:
    for bar in BARS:
        assert bar.work in WORKS
        if results.is_recorded(bar.work) and bars.judge(bar).value is None:
            cases = results.load(bar.work).cases
            assert bar.case not in [case.name for case in cases], f"no {bar.peer} in {bar.case}"


def test_a_result_is_read_back_as_it_was_written(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    result = Result("w", "A work", [CASE], {"d": "not installed"}, {"rounds": 3}, {}, {"coop": "1"})
    result.save()
    assert result == results.load("w")
    assert '"a": [ 20, 20, 20 ]' in (tmp_path / "w.json").read_text()


def test_a_table_has_the_cheapest_first_and_coops_ratio_to_each() -> None:
    lines = tables.table(CASE)
    assert ["C", "coop", "a", "b"] == [line.split()[0] for line in lines[1:]]
    assert "0.50  [0.38 0.62]" in lines[-1]


def test_peers_keep_their_order_and_a_typo_is_named() -> None:
    listed = [Peer(name, ()) for name in ("coop", "trio", "curio")]
    assert ["coop", "curio"] == [peer.name for peer in choose(listed, ["curio", "coop"])]
    with pytest.raises(SystemExit, match="no peer is called tiro"):
        choose(listed, ["tiro"])


@pytest.mark.parametrize("name", WORKS)
def test_every_work_can_say_how_long_it_will_take(name: str) -> None:
    options = command_line().parse_args([name])
    shorter = command_line().parse_args([name, "--rounds", "1"])
    whole, part = WORKS[name].estimate(options), WORKS[name].estimate(shorter)
    assert 0 < part <= whole < 600, minutes(whole)


def test_recording_has_to_be_asked_for() -> None:
    assert command_line().parse_args(["echo"]).record is False
    assert command_line().parse_args(["all", "--record"]).record is True


def test_a_reserved_port_is_given_to_a_server_but_to_nobody_else() -> None:
    with processes.reserve_port() as reservation:
        port = reservation.getsockname()[1]
        assert not processes.is_listening(port)
        with processes.socket.create_server((processes.HOST, port)):  # sets SO_REUSEADDR
            assert processes.is_listening(port)


def test_the_peers_are_listed_without_their_comments() -> None:
    assert {"uvloop", "bjoern", "matplotlib"} <= set(environment.requirements())
    assert not any("#" in name for name in environment.requirements())


def test_the_programs_of_the_load_are_sources_that_exist() -> None:
    assert all(source.exists() for source in environment.C_PROGRAMS)
    assert loads.FULL < 1
