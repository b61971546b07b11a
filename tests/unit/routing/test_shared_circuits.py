"""Hosts that tell each other of their boards come to know the same, whatever their clocks say."""

from __future__ import annotations

import logging
from random import Random
from typing import Final

import pytest

from gateway.model import Outcome
from gateway.routing.circuit import MAX_PAUSE_S, CircuitRules
from gateway.routing.health import Health, TargetReport
from gateway.routing.shared_circuits import KEEP_S, QUICK_S, SharedCircuits
from gateway.store.replica_records import Heard, Record
from gateway.store.target_board import board_in_memory, key_of
from tests.unit.makers import make_target

TARGET: Final = make_target("acct/small")
NAME: Final = TARGET.name
KEY: Final = key_of(NAME).hex()
RULES: Final = CircuitRules(failures=3, cool_down_s=10.0)
GOOD: Final = Outcome("good", 200, took_ms=1.0)
SICK: Final = Outcome("sick", 503, took_ms=1.0)
START_S: Final = 1_764_000_000.0
MANY: Final = 100


class Meeting:
    """Where hosts meet, as `gateway.store.replicas` promises it, and the time that all share."""

    def __init__(self) -> None:
        self.now_s = START_S
        self.took_s = 0.001
        self.records: dict[str, Record] = {}
        self._order: list[str] = []
        self._begun = 0

    def forget(self) -> None:
        """As a server that is started again."""
        self.records.clear()
        self._order.clear()
        self._begun += 1

    def exchange(self, host: Host, records: list[Record]) -> Heard:
        for record in records:
            known = self.records.get(record.field)
            if known is None or record.order > known.order:
                self.records[record.field] = record
                self._order.append(record.field)
        is_new = host.begun != self._begun
        fields = self._order if is_new else self._order[host.heard :]
        host.begun, host.heard = self._begun, len(self._order)
        ahead_s = self.now_s - host.now_s()
        return Heard(
            ahead_s, self.took_s, is_new, tuple(self.records[field] for field in dict.fromkeys(fields))
        )


class Host:
    """A board, what calls make of it, and what is told of it; its clock is off by *skew_s*."""

    def __init__(self, meeting: Meeting, *, skew_s: float = 0.0, names: tuple[str, ...] = (NAME,)) -> None:
        self.meeting = meeting
        self.skew_s = skew_s
        self.begun, self.heard = -1, 0
        self.board = board_in_memory(places=8, now_s=self.now_s)
        self.health = Health(self.board, RULES, now_s=self.now_s, random=Random(1))
        self.shared = SharedCircuits(self.board, lambda: RULES, now_s=self.now_s)
        self.shared.configure(names)

    def now_s(self) -> float:
        return self.meeting.now_s + self.skew_s

    def talk(self, limit: int = MANY) -> list[Record]:
        """One exchange; what was told in it."""
        records = self.shared.news(limit)
        self.shared.exchanged(records, self.meeting.exchange(self, records))
        return records

    def fails(self, times: int = RULES.failures) -> None:
        for _ in range(times):
            self.health.ended(TARGET, SICK)

    def probes(self, outcome: Outcome) -> None:
        """Let one call through, as a half-open circuit does, and end it so."""
        assert self.health.admit(TARGET) is None
        self.health.ended(TARGET, outcome)

    @property
    def report(self) -> TargetReport:
        return self.health.report(NAME) or TargetReport()


def talk(*hosts: Host) -> None:
    """Everybody hears what everybody knows."""
    for _ in range(2):
        for host in hosts:
            host.talk()


@pytest.fixture
def meeting() -> Meeting:
    return Meeting()


@pytest.fixture
def hosts(meeting: Meeting) -> tuple[Host, Host]:
    """Two whose clocks are an hour apart; both have the common time."""
    found = Host(meeting, skew_s=1800.0), Host(meeting, skew_s=-1800.0)
    talk(*found)
    return found


def test_open_circuit(hosts: tuple[Host, Host], meeting: Meeting, caplog: pytest.LogCaptureFixture) -> None:
    """It is open at the other for as long as here, without having opened there; that is said once."""
    first, second = hosts
    first.fails()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        talk(first, second)
    assert second.report.state == "open"
    assert second.report.wait_s == pytest.approx(first.report.wait_s)
    assert second.report.openings == 0
    assert caplog.messages == ["acct/small is not asked for now: its attempts fail at another replica"]
    meeting.now_s += first.report.wait_s
    assert (first.report.state, second.report.state) == ("half_open", "half_open")


def test_each_tells_once(hosts: tuple[Host, Host]) -> None:
    """Who has heard of something does not tell it again, and who told it does not either."""
    first, second = hosts
    first.fails()
    assert len(first.talk()) == 1
    assert second.talk() == []
    assert first.talk() == second.talk() == []


def test_closing(hosts: tuple[Host, Host], meeting: Meeting, caplog: pytest.LogCaptureFixture) -> None:
    """One probe anywhere closes it everywhere; the failures of before count no more."""
    first, second = hosts
    first.fails()
    second.fails(2)
    talk(first, second)
    meeting.now_s += 11
    with caplog.at_level(logging.WARNING):
        first.probes(GOOD)
        talk(first, second)
    assert {host.report.state for host in hosts} == {"closed"}
    assert "acct/small is asked again: an attempt of another replica went well" in caplog.messages
    assert second.report.counts.sick == 0
    meeting.now_s += 0.01
    second.fails(2)
    assert second.report.refusal is None
    second.fails(1)
    assert second.report.state == "open"


def test_opening_again(hosts: tuple[Host, Host], meeting: Meeting) -> None:
    """A probe that fails keeps it closed to all for twice as long."""
    first, second = hosts
    first.fails()
    talk(first, second)
    meeting.now_s += 11
    second.probes(SICK)
    talk(first, second)
    assert first.report.state == "open"
    assert first.report.wait_s == pytest.approx(second.report.wait_s)
    assert first.report.wait_s > 9.9


def test_what_changed_later_stands(hosts: tuple[Host, Host], meeting: Meeting) -> None:
    """Also where it is heard of late."""
    first, second = hosts
    first.fails()
    told = first.talk()
    meeting.now_s += 11
    first.probes(GOOD)
    talk(first, second)
    second.shared.exchanged([], Heard(1800.0, 0.001, False, tuple(told)))
    assert second.report.state == "closed"


def test_pauses(hosts: tuple[Host, Host], meeting: Meeting) -> None:
    """The longer wish stands; a shorter one changes nothing, and one that is over neither."""
    first, second = hosts
    first.health.ended(TARGET, Outcome("none", 429, cool_down_s=40.0))
    second.health.ended(TARGET, Outcome("none", 429, cool_down_s=5.0))
    talk(first, second)
    for host in hosts:
        assert host.report.refusal == "cool_down"
        assert host.report.wait_s == pytest.approx(40.0)
    meeting.now_s += 41
    late = Host(meeting)
    talk(late)
    assert late.report.refusal is None


def test_open_and_paused(hosts: tuple[Host, Host]) -> None:
    """Each is told beside the other."""
    first, second = hosts
    first.fails(2)
    first.health.ended(TARGET, Outcome("sick", 503, cool_down_s=40.0))
    talk(first, second)
    assert second.report.state == "open"
    assert second.report.wait_s == pytest.approx(40.0)


def test_drained_stays_the_hosts_own(hosts: tuple[Host, Host]) -> None:
    """An operator speaks to one host."""
    first, second = hosts
    first.health.drain(NAME)
    talk(first, second)
    assert (first.report.is_drained, second.report.is_drained) == (True, False)
    second.fails()
    talk(first, second)
    assert first.report.state == "open"


def test_a_host_that_comes_later(hosts: tuple[Host, Host], meeting: Meeting) -> None:
    """It hears of what is open before its first call, and knows the target from then on."""
    hosts[0].fails()
    talk(*hosts)
    late = Host(meeting, skew_s=5.0)
    late.talk()
    assert late.health.skip_reason(NAME) == "circuit"


def test_a_meeting_place_that_has_forgotten(hosts: tuple[Host, Host], meeting: Meeting) -> None:
    """Whoever knows of an open circuit tells it again."""
    first, second = hosts
    first.fails()
    talk(first, second)
    meeting.forget()
    talk(first, second)
    assert list(meeting.records) == [f"{KEY}:circuit"]


def test_what_could_not_be_told(hosts: tuple[Host, Host]) -> None:
    """It is told with the next exchange that comes about."""
    first, second = hosts
    first.fails()
    assert len(first.shared.news(MANY)) == 1
    talk(first, second)
    assert second.report.state == "open"


def test_only_so_much_at_once(meeting: Meeting) -> None:
    """The rest comes with the next exchange."""
    names = tuple(f"acct/{number}" for number in range(5))
    first, second = Host(meeting, names=names), Host(meeting, names=names)
    talk(first, second)
    for name in names:
        for _ in range(RULES.failures):
            first.health.ended(make_target(name), SICK)
    assert [len(first.talk(limit=2)) for _ in range(4)] == [2, 2, 1, 0]
    second.talk()
    assert {second.health.skip_reason(name) for name in names} == {"circuit"}


def test_without_a_common_clock(meeting: Meeting) -> None:
    """Nothing is told before the first exchange; a slow one says little of the time and is not believed."""
    host = Host(meeting, skew_s=100.0)
    host.fails()
    assert host.shared.news(MANY) == []
    host.talk()
    meeting.took_s = QUICK_S * 2
    host.skew_s = 101.0
    host.talk()
    (record,) = meeting.records.values()
    assert record.order == pytest.approx(START_S * 1e6, abs=1e6 + 1)
    other = Host(meeting)
    talk(other)
    assert other.report.state == "open"


def test_targets_of_others(hosts: tuple[Host, Host], meeting: Meeting) -> None:
    """Who has another configuration takes no room here; when it becomes ours too it is heard of."""
    stranger = Host(meeting, names=("acct/other",))
    for _ in range(RULES.failures):
        stranger.health.ended(make_target("acct/other"), SICK)
    talk(stranger, *hosts)
    assert hosts[0].board.find_place("acct/other") is None
    hosts[0].shared.configure((NAME, "acct/other"))
    hosts[0].begun = -1
    talk(hosts[0])
    assert hosts[0].health.skip_reason("acct/other") == "circuit"


def test_old_changes_are_not_told(meeting: Meeting) -> None:
    """A circuit that closed long ago is of no use to anybody, and is looked at no more."""
    host = Host(meeting)
    host.fails()
    meeting.now_s += 11
    host.probes(GOOD)
    meeting.now_s += KEEP_S
    talk(host)
    assert meeting.records == {}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("circuit", "open"),
        ("circuit", "half 1 2"),
        ("circuit", "open x y"),
        ("circuit", "open 1 2 3"),
        ("circuit", "?"),
        ("x", "open 1 1"),
        ("", ""),
    ],
)
def test_what_cannot_be_read(hosts: tuple[Host, Host], kind: str, value: str) -> None:
    """A newer gateway may tell what we do not know."""
    record = Record(f"{KEY}:{kind}", int(START_S * 1e6) + 1_000_000, value)
    hosts[0].shared.exchanged([], Heard(-1800.0, 0.001, False, (record, Record("?", 1, ""))))
    assert hosts[0].report.refusal is None


def test_what_has_not_happened_yet(hosts: tuple[Host, Host]) -> None:
    """Who tells of the future has no clock to go by."""
    order = int((START_S + 60) * 1e6)
    record = Record(f"{KEY}:circuit", order, f"open {order + 1} 1")
    hosts[0].shared.exchanged([], Heard(-1800.0, 0.001, False, (record,)))
    assert hosts[0].report.state == "closed"


def test_nobody_shuts_a_target_for_ever(hosts: tuple[Host, Host]) -> None:
    """Whatever others tell ends within an hour."""
    order = int(START_S * 1e6)
    far = Record(f"{KEY}:circuit", order, f"open {order * 2} {order}")
    pause = Record(f"{KEY}:pause", order * 2, "pause")
    hosts[0].shared.exchanged([], Heard(-1800.0, 0.001, False, (far, pause)))
    assert hosts[0].report.wait_s == pytest.approx(MAX_PAUSE_S)


def test_a_board_that_gives_places_away(meeting: Meeting) -> None:
    """Where a target's place has become another's, what is heard goes to where it is now."""
    names = tuple(f"acct/{number}" for number in range(12))
    first, second = Host(meeting, names=names), Host(meeting, names=names)
    talk(first, second)
    for name in names:
        first.health.skip_reason(name)
        meeting.now_s += 1
    talk(first, second)
    for _ in range(RULES.failures):
        second.health.ended(make_target(names[0]), SICK)
    talk(second, first)
    assert first.health.skip_reason(names[0]) == "circuit"
    assert sum(first.health.skip_reason(name) == "circuit" for name in names) == 1


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_all_agree(meeting: Meeting, seed: int) -> None:
    """After any failures, recoveries, losses and restarts a last exchange leaves all with the same."""
    random = Random(seed)
    hosts = [Host(meeting, skew_s=random.uniform(-50, 50)) for _ in range(3)]
    talk(*hosts)
    for _ in range(200):
        host = random.choice(hosts)
        meeting.now_s += random.choice((0.1, 1.0, 12.0))
        match random.randrange(6):
            case 0 | 1:
                host.fails(random.randrange(1, 4))
            case 2:
                if host.health.admit(TARGET) is None:
                    host.health.ended(TARGET, random.choice((GOOD, SICK)))
            case 3 | 4:
                host.talk()
            case _:
                if random.random() < 0.1:
                    meeting.forget()
    talk(*hosts)
    assert len({host.report.state for host in hosts}) == 1
    waits_s = [host.report.wait_s for host in hosts]
    assert max(waits_s) - min(waits_s) < 0.2
