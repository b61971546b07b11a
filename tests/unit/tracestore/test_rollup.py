"""What calls add up to."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tracestore.histogram import bucket_of
from gateway.tracestore.rollup import (
    ALL,
    Cell,
    Gathered,
    Labels,
    Sums,
    cells_of,
    coarse,
    counted,
    duration_ms,
    format_labels,
    labels_of,
    parse_labels,
)
from gateway.wire.frames import StoreRow
from tests.unit.tracestore.call_maker import MINUTE_S, NS, make_row

MODEL = "openai-main/gpt-4o"


def sums_of(*rows: StoreRow) -> dict[Cell, Sums]:
    """All that these calls count in."""
    gathered = Gathered()
    for row in rows:
        gathered.add(row)
    return dict(gathered.sums(lambda: None))


def test_calls_add_up_by_minute_of_their_end_and_labels() -> None:
    """A call counts when it is over, once."""
    end_ns = (MINUTE_S + 61) * NS
    rows = [
        make_row(1, start_ns=MINUTE_S * NS, end_ns=MINUTE_S * NS + NS, first_chunk_ms=20.0, cost_usd=None),
        make_row(2, start_ns=MINUTE_S * NS, end_ns=MINUTE_S * NS + 3 * NS, cached_input_tokens=4),
        make_row(3, start_ns=MINUTE_S * NS, end_ns=end_ns, input_tokens=None),
    ]
    labels = format_labels(Labels(MODEL, MODEL, "app1", "virtual_account", (), "200", ""))
    sums = sums_of(*rows)
    assert {(cell.at_s, cell.label) for cell in sums if cell.dimension == "full"} == {
        (MINUTE_S, labels),
        (MINUTE_S + 60, labels),
    }
    assert not any(cell.dimension.startswith("metadata") for cell in sums)
    first = sums[Cell(MINUTE_S, "full", labels)]
    assert (first.calls, first.errors, first.input_tokens, first.output_tokens) == (2, 0, 20, 10)
    assert (first.latency_sum_ms, first.latency_max_ms, first.cost_usd) == (4000.0, 3000.0, 0.25)
    assert first.cached_tokens == 4
    assert first.latencies.counts == {bucket_of(1000.0): 1, bucket_of(3000.0): 1}
    assert first.first_tokens.counts == {bucket_of(20.0): 1}
    # Five tokens have four gaps between them.
    assert first.output_gaps.counts == {bucket_of(980.0 / 4): 1}


def test_metadata_is_counted_by_each_of_its_members() -> None:
    """Some of them, of a call that has many."""
    rows = [make_row(1, metadata={"a": "x", "b": "y"}), make_row(2, metadata={"a": "x"})]
    of_members = {
        cell[1:]: sums.calls
        for cell, sums in sums_of(*rows).items()
        if cell.dimension.startswith("metadata.")
    }
    assert of_members == {("metadata.a", "x"): 2, ("metadata.b", "y"): 1}
    many = Gathered()
    many.add(make_row(3, metadata={f"k{number}": "v" for number in range(64)}))
    assert (len(many.by_metadata), many.groups) == (8, 9)


ROWS = st.builds(
    make_row,
    st.integers(1, 100),
    model=st.sampled_from(["a/1", "a/2"]),
    caller=st.sampled_from(["", "app", "ann"]),
    caller_kind=st.sampled_from(["", "user", "virtualaccount"]),
    teams=st.sampled_from([(), ("red",), ("red", "blue")]),
    status_code=st.sampled_from([200, 429, 502]),
    is_error=st.booleans(),
    first_chunk_ms=st.sampled_from([None, 5.0]),
    cost_usd=st.sampled_from([None, 0.5]),
)


@given(st.lists(ROWS, max_size=30))
def test_every_dimension_has_every_call_of_it(rows: list[StoreRow]) -> None:
    """What is summed up for itself is what was written, whichever way it is looked at."""
    cells = sums_of(*rows)

    def calls(dimension: str) -> int:
        return sum(sums.calls for cell, sums in cells.items() if cell.dimension == dimension)

    assert calls("all") == calls("full") == calls("status") == calls("model") == len(rows)
    assert calls("virtual_account") + calls("user") == sum(1 for row in rows if labels_of(row).kind)
    assert calls("team") == sum(len(row.teams) for row in rows)
    whole = Sums()
    for cell, sums in cells.items():
        if cell.dimension == "all":
            whole.add(sums)
    assert (whole.calls, whole.errors) == (len(rows), sum(row.is_error for row in rows))
    assert whole.cost_usd == sum(row.cost_usd or 0.0 for row in rows)
    assert whole.latencies.counts == ({bucket_of(100.0): len(rows)} if rows else {})
    assert sum(whole.first_tokens.counts.values()) == sum(row.first_chunk_ms is not None for row in rows)


@given(st.lists(st.lists(ROWS, max_size=5) | st.lists(st.just(make_row(1)), max_size=40), max_size=6))
def test_calls_that_wait_for_others_add_up_to_the_same(batches: list[list[StoreRow]]) -> None:
    """However they come."""
    waiting = Gathered()
    for batch in batches:
        gathered = Gathered()
        for row in batch:
            gathered.add(row)
        waiting.take(gathered)
    rows = [row for batch in batches for row in batch]
    assert waiting.calls == len(rows)
    expected = sums_of(*rows)
    found = dict(waiting.sums(lambda: None))
    assert {cell: sums.to_columns() for cell, sums in found.items()} == {
        cell: sums.to_columns() for cell, sums in expected.items()
    }


def test_calls_of_too_many_kinds_are_counted_too() -> None:
    """However many differ from all before them, and whichever of them comes again."""
    kinds = 1_500
    rows = [make_row(number, metadata={"run": str(number % kinds)}) for number in range(2 * kinds)]
    sums = sums_of(*rows)
    assert sums[Cell(MINUTE_S, ALL, "")].calls == 2 * kinds
    assert all(sums[Cell(MINUTE_S, "metadata.run", str(kind))].calls == 2 for kind in range(kinds))


def test_sums_read_back() -> None:
    """As a row of the store."""
    sums = Sums()
    sums.add_calls([counted(make_row(1, first_chunk_ms=5.0, cached_input_tokens=3))])
    again = Sums()
    again.add_columns(sums.to_columns())
    assert again.to_columns() == sums.to_columns()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        pytest.param(
            {"model": "made-up", "resolved_model": "", "attempts": 0}, "other", id="asked, not resolved"
        ),
        pytest.param(
            {"model": "vm/down", "resolved_model": ""}, "vm/down", id="resolved, no target answered"
        ),
        pytest.param(
            {"model": "vm/chat", "resolved_model": "", "attempts": 0, "is_model_known": True},
            "vm/chat",
            id="resolved, refused by a limit",
        ),
        pytest.param({"model": "", "resolved_model": ""}, "", id="none asked"),
        pytest.param({"model": "vm/chat"}, "vm/chat", id="resolved"),
        pytest.param({"model": "m" * 999}, "m" * 200, id="too long"),
    ],
)
def test_model_label_is_bounded(fields: dict[str, object], expected: str) -> None:
    """Names that anyone can make up do not become labels."""
    assert labels_of(make_row(1, **fields)).model == expected


@pytest.mark.parametrize(("status", "expected"), [(200, "200"), (499, "499"), (0, "other"), (999, "other")])
def test_status(status: int, expected: str) -> None:
    """Codes that there are, whatever is sent."""
    assert labels_of(make_row(status_code=status)).status == expected


def test_labels_read_back_and_have_their_dimensions() -> None:
    """A caller counts as what it is; teams one by one."""
    labels = Labels("m", "", "ann", "user", ("red", "blue"), "502", "boom")
    assert parse_labels(format_labels(labels)) == labels
    assert labels.of("team") == ("red", "blue")
    assert labels.of("user") == ("ann",)
    assert labels.of("virtual_account") == labels.of("target") == ()
    assert {*cells_of(60, labels)} >= {Cell(60, "user", "ann"), Cell(60, "all", "")}


def test_coarse_labels_keep_only_what_is_bounded() -> None:
    """Status and whether there was an error survive."""
    assert coarse(Labels("a", "b", "c", "user", ("t",), "502", "boom")) == Labels(
        "other", "other", "other", "user", (), "502", "other"
    )


def test_clock_set_back_gives_no_negative_duration() -> None:
    """Time may jump under a call."""
    assert duration_ms(make_row(end_ns=1)) == 0.0


def test_absurd_numbers_are_kept_out_of_the_sums() -> None:
    """A provider may report anything."""
    absurd = make_row(cost_usd=math.nan, first_chunk_ms=math.inf, input_tokens=2**63 + 5)
    sums = next(iter(sums_of(absurd).values()))
    assert (sums.cost_usd, sums.first_tokens.counts) == (0.0, {})
    assert sums.input_tokens == 2**40
