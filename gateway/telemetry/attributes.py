"""The names of every span attribute, each once; docs/telemetry.md lists them and a test compares.

Those of what control writes of a call stand in `gateway.wire.brief_calls`, which it can import.

Names: https://github.com/open-telemetry/semantic-conventions-genai (gen_ai.*), OpenTelemetry semantic
conventions 1.45 (http.*, server.*, client.*, url.*, error.*, service.peer.name), `gateway.*`, which are ours,
and `tfy.*`, which are TrueFoundry's.
"""

from __future__ import annotations

from typing import Final

from gateway.wire import brief_calls
from gateway.wire.otlp import AttributeKey

# SERVER spans.
HTTP_REQUEST_METHOD: Final = AttributeKey("http.request.method")
HTTP_ROUTE: Final = AttributeKey("http.route")
HTTP_RESPONSE_STATUS_CODE: Final = AttributeKey("http.response.status_code")
URL_PATH: Final = AttributeKey("url.path")
URL_SCHEME: Final = AttributeKey("url.scheme")
CLIENT_ADDRESS: Final = AttributeKey("client.address")
USER_AGENT: Final = AttributeKey("user_agent.original")
MODEL_ASKED: Final = AttributeKey("gateway.model.asked")
MODEL_RESOLVED: Final = AttributeKey("gateway.model.resolved")
ROUTING_CANDIDATES: Final = AttributeKey("gateway.routing.candidates")
ROUTING_SKIPPED: Final = AttributeKey("gateway.routing.skipped")
ROUTE: Final = AttributeKey("gateway.routing.route")
STRATEGY: Final = AttributeKey("gateway.routing.strategy")
TIER: Final = AttributeKey("gateway.routing.tier")
TIER_CAUSE: Final = AttributeKey("gateway.routing.tier_cause")
LIMITS: Final = AttributeKey("gateway.limits")
BUDGET_REACHED: Final = AttributeKey("gateway.budget.reached")
OVERLOAD_REASON: Final = AttributeKey("gateway.overload.reason")
PRIORITY: Final = AttributeKey("gateway.priority")
ATTEMPTS: Final = AttributeKey("gateway.attempts")
TOTAL_COST: Final = brief_calls.TOTAL_COST
OVERHEAD_MS: Final = brief_calls.OVERHEAD_MS
CALLER: Final = AttributeKey("gateway.caller")
TEAM: Final = AttributeKey("gateway.team")
CONFIG_VERSION: Final = AttributeKey("gateway.config.version")
CAPTURED_HEADER_PREFIX: Final = "http.request.header."
"""Before the lower-case name of a header that `capture_headers` lists."""

# SERVER and CLIENT spans of a call that has metadata, its own or given ones.
METADATA: Final = AttributeKey("gateway.metadata")
METADATA_PREFIX: Final = "gateway.metadata."
"""Before each key of it that can be part of a name."""

# SERVER and CLIENT spans of a call that came with `baggage`.
BAGGAGE_PREFIX: Final = "baggage."
"""Before the key of a member that `capture_baggage` lists."""

# SERVER and CLIENT spans. No http.* or url.* ever goes on a CLIENT span: Elastic would take it for a plain
# HTTP call.
SERVER_ADDRESS: Final = AttributeKey("server.address")
SERVER_PORT: Final = AttributeKey("server.port")
ERROR_TYPE: Final = AttributeKey("error.type")

# CLIENT spans. Elastic draws a dependency only with a peer name; `peer.service` is the older twin that it
# also reads.
PEER_NAME: Final = AttributeKey("service.peer.name")
PEER_SERVICE: Final = AttributeKey("peer.service")
OPERATION_NAME: Final = AttributeKey("gen_ai.operation.name")
PROVIDER_NAME: Final = AttributeKey("gen_ai.provider.name")
REQUEST_MODEL: Final = AttributeKey("gen_ai.request.model")
REQUEST_STREAM: Final = AttributeKey("gen_ai.request.stream")
RESPONSE_ID: Final = brief_calls.RESPONSE_ID
RESPONSE_MODEL: Final = AttributeKey("gen_ai.response.model")
RESPONSE_FINISH_REASONS: Final = AttributeKey("gen_ai.response.finish_reasons")
TIME_TO_FIRST_CHUNK: Final = brief_calls.TIME_TO_FIRST_CHUNK
INPUT_TOKENS: Final = brief_calls.INPUT_TOKENS
OUTPUT_TOKENS: Final = brief_calls.OUTPUT_TOKENS
CACHE_WRITE_INPUT_TOKENS: Final = brief_calls.CACHE_WRITE_INPUT_TOKENS
CACHE_READ_INPUT_TOKENS: Final = brief_calls.CACHE_READ_INPUT_TOKENS
REASONING_OUTPUT_TOKENS: Final = brief_calls.REASONING_OUTPUT_TOKENS
COST: Final = brief_calls.COST
ATTEMPT: Final = brief_calls.ATTEMPT
PURPOSE: Final = AttributeKey("gateway.purpose")
CLASSIFIED_AS: Final = AttributeKey("gateway.classified_as")
TARGET: Final = AttributeKey("gateway.target")
USAGE_SOURCE: Final = AttributeKey("gateway.usage.source")
SEARCH_UNITS: Final = brief_calls.SEARCH_UNITS
CONVERSATION_ID: Final = AttributeKey("gen_ai.conversation.id")

# CLIENT spans, in `SpanSegments.content` and nowhere else.
INPUT_MESSAGES: Final = AttributeKey("gen_ai.input.messages")
OUTPUT_MESSAGES: Final = AttributeKey("gen_ai.output.messages")
TOOL_DEFINITIONS: Final = AttributeKey("gen_ai.tool.definitions")
CONTENT_TRUNCATED: Final = AttributeKey("gateway.content.truncated")
CONTENT_DROPPED: Final = AttributeKey("gateway.content.dropped")
STOP_SEQUENCES: Final = AttributeKey("gen_ai.request.stop_sequences")
REPLY_EXCERPT: Final = AttributeKey("gateway.reply.excerpt")

# CLIENT spans, with `semconv: latest+old`: the names before v0.1.0 of the GenAI conventions, which tools
# still read.
OLD_SYSTEM: Final = AttributeKey("gen_ai.system")
OLD_PROMPT_TOKENS: Final = AttributeKey("gen_ai.usage.prompt_tokens")
OLD_COMPLETION_TOKENS: Final = AttributeKey("gen_ai.usage.completion_tokens")
OLD_CACHE_CREATION_TOKENS: Final = AttributeKey("gen_ai.usage.cache_creation.input_tokens")

# With `tfy_attributes: true`: TrueFoundry's own names. On both spans,
TFY_SPAN_TYPE: Final = AttributeKey("tfy.span_type")
TFY_ERROR_MESSAGE: Final = AttributeKey("tfy.error_message")
TFY_ERROR_TYPE: Final = AttributeKey("tfy.error_type")
# on SERVER spans,
TFY_MODEL_NAME: Final = AttributeKey("tfy.request.model_name")
TFY_SUBJECT: Final = AttributeKey("tfy.request.created_by_subject")
TFY_METADATA: Final = AttributeKey("tfy.request.metadata")
TFY_CONVERSATION_ID: Final = AttributeKey("tfy.request.conversation_id")
TFY_RULES: Final = AttributeKey("applied_loadbalance_rule_ids")
TFY_RATE_LIMITS: Final = AttributeKey("applied_ratelimit_rule_ids")
TFY_BUDGETS: Final = AttributeKey("applied_budget_rule_ids")
# and on CLIENT spans.
TFY_MODEL_ID: Final = AttributeKey("tfy.model.id")
TFY_MODEL: Final = AttributeKey("tfy.model.name")
TFY_MODEL_FQN: Final = AttributeKey("tfy.model.fqn")
TFY_REQUEST_URL: Final = AttributeKey("tfy.model.request_url")
TFY_STREAMING: Final = AttributeKey("tfy.model.streaming")
TFY_REQUEST_TYPE: Final = AttributeKey("tfy.model.request_type")
TFY_LATENCY_MS: Final = brief_calls.TFY_LATENCY_MS
TFY_FIRST_TOKEN_MS: Final = brief_calls.TFY_FIRST_TOKEN_MS
TFY_INTER_TOKEN_MS: Final = brief_calls.TFY_INTER_TOKEN_MS
TFY_INPUT_TOKENS: Final = brief_calls.TFY_INPUT_TOKENS
TFY_OUTPUT_TOKENS: Final = brief_calls.TFY_OUTPUT_TOKENS
TFY_CACHE_READ_TOKENS: Final = brief_calls.TFY_CACHE_READ_TOKENS
TFY_COST: Final = brief_calls.TFY_COST
TFY_CACHE_CREATION_TOKENS: Final = brief_calls.TFY_CACHE_CREATION_TOKENS

REQUEST_DOUBLES: Final = {
    "temperature": AttributeKey("gen_ai.request.temperature"),
    "top_p": AttributeKey("gen_ai.request.top_p"),
    "frequency_penalty": AttributeKey("gen_ai.request.frequency_penalty"),
    "presence_penalty": AttributeKey("gen_ai.request.presence_penalty"),
}
"""Body members that are always doubles: one type per key, since Elastic keeps the type it sees first."""

_MAX_TOKENS: Final = AttributeKey("gen_ai.request.max_tokens")
REQUEST_INTEGERS: Final = {
    "max_completion_tokens": _MAX_TOKENS,
    "max_tokens": _MAX_TOKENS,
    "max_output_tokens": _MAX_TOKENS,
    "seed": AttributeKey("gen_ai.request.seed"),
    "top_k": AttributeKey("gen_ai.request.top_k"),
    "dimensions": AttributeKey("gen_ai.embeddings.dimension.count"),
}
"""Body members that are integers; of two with one attribute the first present wins."""

CHOICE_COUNT: Final = AttributeKey("gen_ai.request.choice.count")
ENCODING_FORMATS: Final = AttributeKey("gen_ai.request.encoding_formats")
REASONING_LEVEL: Final = AttributeKey("gen_ai.request.reasoning.level")
OPENAI_API_TYPE: Final = AttributeKey("openai.api.type")
