"""Figures that pages give are those of the code: bounds, waits, sizes.

What was measured is not here: pages that tell of it name the run.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from gateway import attempt, failover, http_server, long_work, pipeline, realtime
from gateway.app import config_follow, replicas, worker
from gateway.config import manifest_set, plain_data
from gateway.config.manifests import identity_provider, load_balancing, otel_config
from gateway.control import (
    audit,
    budget_alerts,
    config_watch,
    host_health,
    in_turn,
    json_body,
    limits,
    playground,
    replica_list,
    seen_calls,
    tail,
    traces,
)
from gateway.delivery import batch, chain, condition, outcome, spool, webhook
from gateway.edge import client, lookout
from gateway.endpoints import content_parts, long_json, openai_call, openai_content
from gateway.identity import key_rings, key_set, signed_tokens, token_reading
from gateway.limits import estimate, held, output_sizes
from gateway.overload import gate, lateness
from gateway.routing import backoff, health, hedging, latency, priority, stored
from gateway.store import (
    audit_log,
    config_store,
    counter_places,
    counter_scripts,
    redis_counters,
    redis_table,
    shared_table,
    target_board,
)
from gateway.supervisor import child, family
from gateway.telemetry import (
    applied_configurations,
    call_metrics,
    call_trace,
    content,
    handover,
    metadata_labels,
    processor,
    redactor,
    secrets_in_spans,
    span_encoding,
    tfy_names,
)
from gateway.tracestore import query, reader, rollup
from gateway.upstream import exchange, sockets
from gateway.wire import http1, sse

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
_K: Final = 1024
_M: Final = 1024 * 1024
_MINUTE_S: Final = 60
_DAY_S: Final = 86_400


def ms(seconds: float) -> str:
    return f"{seconds * 1000:g} ms"


def word(number: float) -> str:
    """As pages write small numbers."""
    return {4: "four", 8: "eight", 10: "ten", 0.25: "a quarter"}[number]


SAYS: Final = {
    "control-api.md": [
        f"when {word(in_turn.MOST_WAITING)} wait already, 503 `busy`",
        f"`limit` | 1 to {query.MAX_LIMIT}, default {query.DEFAULT_LIMIT}",
        f"One with more than {reader.MAX_CALLS_OF_TRACE:,} calls shows the newest",
        f"An event `traces` has up to {tail.MOST_AT_ONCE} calls",
        f"more than {tail.MOST_AT_ONCE * tail.MOST_IN_TURN} calls came",
        f"Up to {tail.MAX_FOLLOWERS} may follow at once",
        f"by the first {rollup.MAX_METADATA} members of a call's metadata",
        f"at most {json_body._MAX_BYTES // _K} KiB",
        f"At most {playground.MOST_AT_ONCE} calls at once",
        f"most the newest {seen_calls._CALLS} every {seen_calls._FRESH_S:g} s",
        f"Above {limits.MAX_METERS:,} counters the rest is left out",
        f"Of one change at most {audit.MAX_CHANGES:,} manifests are noted",
        f"Of an entry above {audit_log.MAX_ENTRY_BYTES // _K} KiB",
        f"five files of {audit_log.MAX_FILE_BYTES // _M} MiB",
        f"was silent for {replica_list.GONE_S:g} s is left out",
    ],
    "configuration.md": [
        f"{plain_data.MAX_FILE_BYTES // _M} MiB a file, {plain_data.MAX_VALUES:,} values a document",
        f"{plain_data.MAX_DEPTH} levels",
        f"several destinations, at most {otel_config.MAX_DESTINATIONS}",
        f"may differ, at most {identity_provider._LONGEST_LEEWAY_S}.",
        f"a session stays, up to {load_balancing._LONGEST_STICKY_S // _DAY_S} days",
        f"the last {config_store.KEPT_SETS} sets with who put them",
        f"stands still is tried for {config_store.PATIENCE_S:g} s",
    ],
    "errors.md": [f"at most {applied_configurations.MAX_BYTES:,} bytes"],
    "identity.md": [
        f"a worker keeps up to {signed_tokens.MAX_HELD:,} good tokens",
        f"is refused for {signed_tokens.REFUSED_FOR_S:g} s without another look",
        f"longer than {token_reading.MAX_TOKEN_BYTES // _K} KiB",
        f"({key_rings._SHORTEST_S / _MINUTE_S:g} to {key_rings._LONGEST_S / _MINUTE_S:g} minutes)",
        f"at most every {key_rings.EARLY_AFTER_S:g} s",
        f"RSA ({key_set._MIN_RSA_BITS} bits at least)",
    ],
    "limits.md": [
        f"{estimate._TOKENS_PER_MESSAGE} tokens for each message",
        f"others {estimate._IMAGE_TOKENS_ELSEWHERE:,})",
        f"what {output_sizes._SHARE * 100:g} of the last {output_sizes._KEPT} replies",
        f"and {output_sizes.UNKNOWN_TOKENS:,} as long as there is none",
        f"up to {held._FEW:,} parallel requests",
        f"Control looks every {budget_alerts.EVERY_S:g} s",
        f"has {webhook.TIMEOUT_S:g} s; it is tried {budget_alerts.MOST_TRIES} times",
        f"after {budget_alerts._FIRST_PAUSE_S:g} s first,",
        f"after {budget_alerts._LONGEST_PAUSE_S / _MINUTE_S:g} minutes at last",
        f"with room for {counter_places.PLACES:,} counters",
        f"A question is answered within {ms(redis_counters.TIMEOUT_S)}",
        f"in Redis {counter_scripts.LEASE_S} s later",
        f"More than {counter_places.MOST_AT_ONCE:,} calls under way in one worker",
    ],
    "operations.md": [
        f"after {child.FIRST_BACKOFF_S:g} s, doubling to {child.LAST_BACKOFF_S:g} s while it dies young",
        f"their last spans (at most {worker._FLUSH_S:g} s)",
        f"One that hangs {family.GRACE_S:g} s past the drain timeout is killed",
        f"can and ends, at most {family.CONTROL_STOP_S:g} s",
        f"until no call has come over one of them for {worker._QUIET_S:g} s",
        f"one that has not for {host_health.SILENCE_S:g} s is silent",
        f"for {replicas.FRESH_S:g} s nothing of targets has been shared",
        f"one script every {replicas.EVERY_S:g} s",
        f"control asks every {config_follow.EVERY_S:g} s which set is in force",
        f"every {config_follow.LONGEST_S:g} s in the end",
        f"the last {config_store.KEPT_SETS} sets, some kilobytes each",
        f"kilobytes each as a rule and {manifest_set.MAX_PACKED_BYTES // _M} MB at most",
        f"at most {redis_table.BUCKETS:,} hashes of {redis_table.PLACES} fields",
        f"the last {redis_table.MOST_UNTOLD:,} wait in each worker",
        f"waits for Redis, {ms(redis_table.TIMEOUT_S)} at most",
        f"Files are looked at every {config_watch._POLL_S:g} s",
        f"read when they have been still for {config_watch._SETTLE_S:g} s",
        f"It looks every {ms(lateness.LOOK_EVERY_S)}; when for {ms(lateness.INTERVAL_S)} no look",
        f"At most {word(gate._TRACED_PER_S)} refused calls a second get a trace",
        f"{word(gate.PATIENCE)} times the bound",
        f"Bodies over {long_work.LONG_BYTES // _K} KB that are written in another dialect",
        f"(over {long_json.MAYBE_MANY_BYTES // _K} KB where there are {long_json.MANY_OBJECTS:,} objects in",
        f"up to {client.DROP_BYTES // _M} MiB and for {client.DROP_S:g} s",
        f"of {pipeline._MOST_DROPPING} calls of a worker at once",
        f"Finished calls wait in the workers, at most {handover.MAX_UNACKNOWLEDGED_BYTES // _M} MB each",
        f"spool/*.spool` | finished calls not yet everywhere; at most {spool.MAX_BYTES // _M} MB",
        f"| silence while the caller sends its body | {lookout.BODY_SILENCE_S:g} s, then 408",
        f"| a caller that takes nothing of its reply | {client.STALL_S:g} s",
        f"idle connection | {http_server.HEAD_TIMEOUT_S:g} s, then closed",
        f"| connections per worker | {http_server.MAX_CONNECTIONS:,};",
        f"kept {exchange.KEEP_ALIVE_S:g} s idle; DNS kept {exchange._DNS_KEPT_S} s",
        f"| {attempt.MAX_REPLY_BYTES // _M} MB; {attempt.MAX_HELD_BYTES // _M} MB;",
        f"{sse.MAX_EVENT_BYTES // _M} MB, then 502",
        f"| headers of a provider's reply | {http1.MAX_HEADERS}, then 502",
        f"at its top level | {openai_call.MAX_MEMBERS:,}, then 400",
        f"{long_json.MAX_THINGS:,}; {long_json.MAX_COMMAS:,}; then 400.",
        f"Counted in bodies over {long_work.LONG_BYTES // _K} KB",
        f"| {traces._THREADS} at a time, {traces._MAX_WAITING} waiting, then 503",
    ],
    "paths.md": [
        f"with room for {shared_table.BUCKETS * shared_table.PLACES:,} objects",
        f"Responses are known for {stored._RESPONSE_DAYS} days, all else for {stored._DAYS}",
        f"by hashes of what is encrypted, for {stored._PART_DAYS} days",
    ],
    "realtime.md": [
        f"up to {sockets.MAX_MESSAGE_BYTES // _M} MiB a message",
        f"{sockets.HANDSHAKE_TIMEOUT_S:g} s with the handshake",
        f"{word(realtime._USAGE_S)} of a second at most",
    ],
    "routing.md": [
        f"within {latency._AS_QUICK:g} times the best",
        f"over the last {latency._WINDOW_S / _MINUTE_S:g} minutes (`latency-based-routing`)",
        f"or {priority._WINDOW_S / _MINUTE_S:g} minutes (`sla_cutoff`)",
        f"of at most {target_board.SAMPLES} replies of the host",
        f"up to {backoff.MAX_DELAY_S:g} s;",
        f"After {failover.MOST_ATTEMPTS} attempts of a call no other target is asked",
        f"only where {hedging._FEWEST_SAMPLES} of them at least say what is usual",
        f"There is room for {target_board.PLACES:,} targets",
        f"Counting is exact for {target_board.LANES} processes",
        f"at most one in each {ms(health._SAMPLED_EVERY_S)} of a worker",
    ],
    "telemetry.md": [
        f"targets that were considered: the first {call_trace.MAX_SKIPS}",
        f'{{"rule","kind","outcome","target"}}`, the first {tfy_names.MAX_LIMITS}',
        f"of letters, digits, `_` and `-`: the first {span_encoding._MAX_NAMED_METADATA}",
        f"at most {span_encoding._MAX_HEADER_VALUES} values of 256 characters",
        f"how a bad reply began: at most {span_encoding._MAX_EXCERPT_CHARACTERS} characters",
        f"Masking has {ms(redactor.LIMIT_S)} of processor time per call",
        f"Looked at are at most {content.MAX_REPLY_BYTES // _M} MB of a reply",
        f"{openai_content.MAX_ITEMS:,} messages or tools",
        f"and {content_parts.MAX_PARTS:,} parts and calls of a message",
        f"While more than {processor.MAX_CONTENT_BYTES // _M} MB wait to be read",
        f"models that do not exist: the first {secrets_in_spans._MAX_WORDS} words",
        f"Shorter ones than {secrets_in_spans._SHORTEST} characters",
        f"calls queue (at most {processor.MAX_QUEUED:,})",
        f"at most {handover.MAX_UNACKNOWLEDGED_BYTES // _M} MB wait",
        f"a log of at most {spool.MAX_BYTES // _M} MB",
        f"never a request over {batch.MAX_REQUEST_BYTES:,} bytes",
        f"a random wait of up to {outcome.MIN_BACK_OFF_S:g} s that grows to {outcome.MAX_BACK_OFF_S:g} s",
        f"at most {outcome.MAX_RETRY_AFTER_S:g} s)",
        f"the batch in hand is tried every {chain.PROBE_S:g} s",
        f"once in {word(condition._TELL_AGAIN_S / _MINUTE_S)} minutes",
        f"At most {call_metrics.MAX_SETS:,} label sets per worker in each group",
        f"Label values have at most {call_metrics._MAX_LABEL_CHARACTERS} characters",
        f"a JSON list of at most {metadata_labels.MAX_KEYS} keys",
        f"those of the last {spool._MAX_RETIRED} at least",
    ],
}


@pytest.mark.parametrize(
    ("page", "words"), [(page, words) for page, all_words in SAYS.items() for words in all_words]
)
def test_the_page_says_what_is(page: str, words: str) -> None:
    """In these words; a changed sentence changes them here, a changed figure the page."""
    text = re.sub(r"\s+", " ", (DOCS / page).read_text(encoding="utf-8"))
    assert words in text
