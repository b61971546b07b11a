"""The shared vocabulary: what the stages of a request hand to each other.

Frozen, slotted, no behaviour beyond what the words mean. What is made anew for each request is a msgspec
struct: a frozen dataclass of seven fields takes 1.7 us to make, a struct 0.05. Imports nothing of the gateway
but `errors`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final, Literal, Protocol, overload

import msgspec

from gateway.tls_files import TlsFiles

HeaderPairs = list[tuple[bytes, bytes]]
"""Headers as they are on the wire, in order, names in lower case."""

UsageSource = Literal["provider", "estimated", "partial"]

Dialect = Literal["openai", "anthropic", "gemini", "converse", "cohere", "nomic"]
"""Whose API is spoken: by a client of its endpoint, by a target of its provider.

`gemini` is Google's `generateContent`, of Gemini and of Vertex; `converse` is Bedrock's runtime; `cohere` is
Cohere's v2; `nomic` is Nomic's API of embeddings.
"""

GoogleCredentials = Literal["service_account", "external_account", "default"]

RerankApi = Literal["", "tei", "nemo", "vertex"]
"""In whose words a server ranks that speaks OpenAI otherwise; "" for Jina's, which most of them took over."""

Unsupported = Literal["drop", "reject"]
"""What happens to a field of a call that the target cannot do."""


EVERYONE: Final = "everyone"
"""A team that every user belongs to, and no virtual account: TrueFoundry shares most accounts with it."""
ALL_USERS: Final = f"team:{EVERYONE}"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent the call.

    Attributes:
        name: Name of the virtual account, or what a user is known by.
        models: Every `<account>/<integration>` that it may use.
        accounts: Provider accounts that it may use as a whole, beyond single models.
        kind: What it is.
        teams: Names of its teams, without `EVERYONE`.
        tags: What every call of it has among its metadata.
        is_dashboard: It is who is signed in to the dashboard, calling from there.
    """

    name: str
    models: frozenset[str]
    accounts: frozenset[str] = frozenset()
    kind: Literal["virtualaccount", "user"] = "virtualaccount"
    teams: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    is_dashboard: bool = field(default=False, compare=False)
    _subjects: frozenset[str] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def subjects(self) -> frozenset[str]:
        """What rules may name it by, worked out when first asked for: few of a million call at once."""
        found = self._subjects
        if found is None:
            found = subjects_of(self.kind, self.name, self.teams)
            object.__setattr__(self, "_subjects", found)
        return found


def subjects_of(kind: str, name: str, teams: Iterable[str] = ()) -> frozenset[str]:
    """What rules may name a caller by: `virtualaccount:app`, or `user:a@x.io`, `team:ml`, `team:everyone`."""
    everybody = (ALL_USERS,) if kind == "user" else ()
    return frozenset((f"{kind}:{name}", *everybody, *[f"team:{team}" for team in teams]))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One kind of call that clients make.

    Attributes:
        name: As in `model_types` of the manifests where it is one of those: chat, completion, embedding.
        path: Below the provider's base URL, with a leading slash.
        route: `http.route`: the canonical path at the gateway.
        operation: `gen_ai.operation.name`.
        can_stream: Whether the body's `stream` means anything here.
        dialect: What its clients speak.
        reply: What a good answer is: a completion (or embeddings) of the chat dialect, one JSON object with
            typed stream events, or bytes of any kind that are passed on as they come.
        counts_tokens: A call costs tokens, so where the provider does not count them they are estimated.
        stream_type: Media type of its streams.
        kept_parameters: Of the query, those that no provider gets.
        passes_query: What callers put into the query is for the provider.
    """

    name: str
    path: str
    route: str
    operation: str
    can_stream: bool
    dialect: Dialect = "openai"
    reply: Literal["completion", "object", "bytes"] = "completion"
    counts_tokens: bool = True
    stream_type: bytes = b"text/event-stream"
    kept_parameters: frozenset[str] = frozenset({"model"})
    passes_query: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Work out what follows."""
        passes_query = self.reply != "completion" or self.dialect in ("anthropic", "gemini")
        object.__setattr__(self, "passes_query", passes_query)


class Call(msgspec.Struct, frozen=True):
    """The client's request, as far as the gateway acts on it; all else stays the bytes it was.

    Attributes:
        endpoint: What is asked for.
        model: The model name asked for.
        is_stream: The reply is to be streamed.
        wants_usage: The client asked for the usage chunk of a stream.
        choices: How many choices the reply has: `n`, for each prompt of a text completion.
        fields: Top-level members of the body, each value the bytes as received.
        body_bytes: Size of the body as received; of one that is passed on and is no text, that of a text
            of as many tokens.
        shows_thoughts: Whether the caller wants to see what a model thinks, None when it did not say; read
            only where the call is put into another dialect.
        body: As received, of a call that goes out so; b"" of those that are written anew from `fields`.
        parameters: What sets how the model answers, under the names of OpenAI's API, of a call that has it
            in another place than its body's top level; None where it is among `fields`.
    """

    endpoint: Endpoint
    model: str
    is_stream: bool
    wants_usage: bool
    choices: int
    fields: Mapping[str, msgspec.Raw]
    body_bytes: int
    shows_thoughts: bool | None = None
    body: bytes = b""
    parameters: Mapping[str, msgspec.Raw] | None = None

    def __repr__(self) -> str:
        """Without the body: it is what somebody said."""
        return f"Call({self.model!r}, {self.endpoint.name}, {self.body_bytes} bytes)"


@dataclass(frozen=True, slots=True)
class RetryBounds:
    """What bounds the retries of every target.

    Attributes:
        budget_ratio: Retries for each call.
        budget_min_per_s: Retries a second that are there for few calls as well.
        max_wait_s: Longest `Retry-After` that a call waits for.
    """

    budget_ratio: float = 0.2
    budget_min_per_s: float = 10.0
    max_wait_s: float = 5.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often one target is tried again.

    Attributes:
        retries: Tries after the first.
        delay_ms: Longest wait before the first, in milliseconds; see `gateway.routing.backoff`.
        on_status: Upstream statuses worth another try. Failures without a status (connection, timeout, bad
            reply) count as the status that the caller would see.
        bounds: What holds for all.
    """

    retries: int = 0
    delay_ms: int = 100
    on_status: frozenset[int] = frozenset()
    bounds: RetryBounds = RetryBounds()


@dataclass(frozen=True, slots=True)
class FallbackPolicy:
    """What happens when one target has failed.

    Attributes:
        on_status: Statuses after which the next target is tried; failures without one count as in
            `RetryPolicy`.
        is_candidate: It may be tried when another has failed; one that may not is tried first or never.
    """

    on_status: frozenset[int] = frozenset()
    is_candidate: bool = True


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long one attempt at a target may take, in seconds.

    Attributes:
        connect_s: Until there is a connection.
        first_token_s: Of a stream: from the beginning until its first content.
        gap_s: Of silence: until the reply begins, and between two pieces of it.
        whole_s: From the beginning to the end; None for no such limit.
    """

    connect_s: float = 10.0
    first_token_s: float = 300.0
    gap_s: float = 300.0
    whole_s: float | None = None


USUAL_LIMITS: Final = TimeLimits()


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """What is sent while a stream is silent, so that nothing between closes the connection.

    Attributes:
        interval_s: After how long a silence.
        is_before_content: Also while there is no content yet, and so before it is known whether all is well.
    """

    interval_s: float
    is_before_content: bool


@dataclass(frozen=True, slots=True)
class HeaderLines:
    """What a target is sent with every request, written once: header lines, credentials included.

    Attributes:
        whole: Of a request for a whole reply; `stream` of one for a stream.
        forwarded: Names of the caller's headers that go along; `forwarded_raw` as they are on the wire.
        defaults: What is sent where the caller sent none of that name.
        keys: The credentials in it, as they would stand in a reply that quotes them, the longest first: of
            one that begins with another nothing is left to be seen.
        words: Of a forwarded header that is a list: what takes a word's place, "" for nothing.
        removed: Names of what it never gets, wherever it comes from.
    """

    whole: bytes = field(default=b"", repr=False)
    stream: bytes = field(default=b"", repr=False)
    forwarded: tuple[str, ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()
    keys: tuple[bytes, ...] = field(default=(), repr=False)
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    forwarded_raw: tuple[bytes, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        """Write the names once."""
        object.__setattr__(self, "forwarded_raw", tuple(name.encode() for name in self.forwarded))


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What an application signs in with in place of a secret.

    Attributes:
        pem: Key and certificate; never shown.
        client_id: The application.
        thumbprint: Of the certificate, for a *pem* that has the key alone.
    """

    pem: str = field(repr=False)
    client_id: str
    thumbprint: str


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """How a target's bearer token is asked for, where a key is not enough: OAuth's client credentials grant.

    Attributes:
        url: The token endpoint.
        form: What is sent to it. Credentials may be among it and among `headers`, so neither is shown.
        headers: Beside those of every form.
        assertion_file: Its content, read each time, is the form's `client_assertion`; "" for none.
        certificate: In place of such a file: what an assertion is signed with, None for none.
    """

    url: str
    form: tuple[tuple[str, str], ...] = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    assertion_file: str = ""
    certificate: ClientCertificate | None = None


@dataclass(frozen=True, slots=True)
class GoogleTokenRequest:
    """How a bearer token of Google Cloud is asked for.

    Attributes:
        kind: With a service account's key, with the identity of another cloud, or with whatever identity the
            machine has (Application Default Credentials).
        content: The key or the configuration, as its file has it; never shown. "" for none.
        secrets: What of it must not stand in a text either.
        identity: Whose key or configuration it is, for the log; "" when unknown.
    """

    kind: GoogleCredentials
    content: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    identity: str = ""


AnyTokenRequest = TokenRequest | GoogleTokenRequest
"""How a bearer token is asked for."""


@dataclass(frozen=True, slots=True)
class AwsSigning:
    """What a target's requests are signed with, as AWS wants it (Signature Version 4).

    Without an access key its credentials are those of the host: environment, files, workload, machine.

    Attributes:
        service: The service's name in signatures, such as `bedrock`.
        secret_access_key: Like `session_token` never shown; both are "" without an access key.
        role_arn: The role to take on with these credentials, "" for none; `external_id` likewise.
        sts_url: Where roles are taken on, "" for AWS's own place in the region.
    """

    service: str
    region: str
    access_key_id: str = ""
    secret_access_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    role_arn: str = ""
    external_id: str = field(default="", repr=False)
    sts_url: str = ""


@dataclass(frozen=True, slots=True)
class OnePath:
    """Where a server takes calls of every endpoint: what follows its base URL.

    Attributes:
        whole: Of calls for a whole reply; `stream` of those for a stream.
    """

    whole: str
    stream: str


@dataclass(frozen=True, slots=True)
class Quirks:
    """How a server's OpenAI dialect differs from OpenAI's, for one endpoint.

    Attributes:
        renamed: A field of OpenAI's, and what the server calls it.
        refused: Fields that the server answers with an error, or ignores where that would cost money; they
            are left out.
        refused_in_messages: The same for the members of each message.
        roles: A role of OpenAI's, and the role that stands for it.
        added: Fields that the server wants, each with the JSON it gets where the caller sends none.
        is_nameless: The server has one model and wants no name of it.
        repeats_index: Several tool calls of a stream may come with one index.
        call_id_length: How many letters and digits the id of a tool call must have; 0: as it likes.
        answers_results: After results of tools only the assistant may speak.
        efforts: Which of OpenAI's efforts a model takes, the least first, by the first pattern that is found
            in its id; for calls of other dialects, whose callers cannot know.
    """

    renamed: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    refused_in_messages: tuple[str, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    added: Mapping[str, str] = field(default_factory=dict)
    is_nameless: bool = False
    repeats_index: bool = False
    call_id_length: int = 0
    answers_results: bool = False
    efforts: tuple[tuple[str, tuple[str, ...]], ...] = ()


EndpointQuirks = Mapping[str, Quirks]
"""The quirks of a server by the name of the endpoint; most have none."""


@dataclass(frozen=True, slots=True)
class Target:
    """One model behind one account, ready to be called.

    Attributes:
        name: `<account>/<integration>`.
        model_id: The id the provider knows the model by.
        provider: `gen_ai.provider.name`.
        peer: `service.peer.name`, the account as a dependency in a service map.
        base_url: Without a trailing slash; an endpoint's path and `query` are appended.
        address: Host of `base_url`; `port` likewise, the scheme's default filled in.
        headers: The target's own, credentials included, so never shown.
        lines: `headers` and what else each request is sent, as lines.
        query: What follows the endpoint's path, with its `?`; "" for most.
        account_url: In place of `base_url` for paths that are the account's and no model's; "": the same.
        one_path: In place of the endpoints' own paths, None for most.
        quirks: How the server differs from OpenAI.
        token: What else it is signed in to with, beside `headers`.
        signing: What its requests are signed with, of a target at AWS.
        propagate_trace: Whether the provider gets our `traceparent`.
        missing_secret: Why the account cannot be used, "" when it can.
        price: None when it is not known.
        price_of: The price of another model of the account by the provider's id, None when it is not known.
        context_window: Most tokens of one call, None when it is not known.
        dialect: What the provider speaks.
        has_responses: It has a Responses API; calls of that are put into other words where it has none.
        rerank_api: In whose words it ranks documents.
        unsupported: What becomes of a field that the dialect has no word for.
        is_predicted: It is at Vertex, which passes its publisher's bodies on; see
            `gateway.translate.raw_predict`.
        embeds_by: How Vertex is asked for embeddings by it, by a prediction or as contents; "" for others.
        fallback: What happens when it has failed, of a target of several.
        limits: How long an attempt may take.
        parameters: What calls get in place of their own, JSON by OpenAI's name: `override_params`.
        tls: Certificates of its own, None for most.
    """

    name: str
    account: str
    model_id: str
    provider: str
    peer: str
    base_url: str
    address: str
    port: int
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    propagate_trace: bool
    model_types: frozenset[str]
    retry: RetryPolicy
    missing_secret: str = ""
    lines: HeaderLines = field(default=HeaderLines(), repr=False, compare=False)
    query: str = ""
    account_url: str = ""
    one_path: OnePath | None = None
    quirks: EndpointQuirks = field(default_factory=dict, hash=False)
    token: AnyTokenRequest | None = None
    signing: AwsSigning | None = None
    price: Price | None = None
    price_of: Callable[[str], Price | None] | None = field(default=None, repr=False, compare=False)
    context_window: int | None = None
    dialect: Dialect = "openai"
    has_responses: bool = False
    rerank_api: RerankApi = ""
    unsupported: Unsupported = "drop"
    is_predicted: bool = False
    embeds_by: Literal["", "predict", "content"] = ""
    fallback: FallbackPolicy = FallbackPolicy()
    limits: TimeLimits = USUAL_LIMITS
    parameters: Mapping[str, bytes] = field(default_factory=dict, hash=False)
    tls: TlsFiles | None = None


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model as lists of models show it; a `Target` is one too.

    Attributes:
        name: What calls name it by; `other_names` too.
        account: Whose it is.
        price: Of one that costs the same whoever answers.
    """

    name: str
    account: str
    model_types: frozenset[str]
    other_names: tuple[str, ...] = ()
    context_window: int | None = None
    price: Price | None = None


FIXED_PARAMETERS: Final = frozenset(
    {"contents", "input", "messages", "model", "prompt", "stream", "stream_options"}
)
"""What `Target.parameters` cannot have: what is asked, and in which way the answer comes."""

SkipReason = Literal[
    "circuit",
    "cool_down",
    "drained",
    "filter",
    "limit",
    "metadata",
    "secret_missing",
    "stored_elsewhere",
    "tier",
]
"""Why a candidate is passed over: its circuit is open; its provider asked for a pause (`Retry-After`); an
operator drained it; it cannot do what is asked; a limit on it is used up; the call's metadata are not what it
is for; it has no credential; it has not what the call goes on from; it is for calls of another complexity.
"""


class Skipped(msgspec.Struct, frozen=True):
    """A candidate that was passed over, and why."""

    target: str
    reason: SkipReason


Tier = Literal["simple", "medium", "complex"]
"""How hard a call is."""

TierCause = Literal["", "heuristic", "classifier", "default"]
"""How that was found out: by the gateway's guess, by a model, or not at all."""


class RouteFacts(msgspec.Struct, frozen=True):
    """By what rule a plan was made.

    Attributes:
        name: Of the virtual model, or the rule's id.
        strategy: As `routing_config.type` has it, such as `weight-based-routing`.
        tier: What a call was found to be, where that decides; "" elsewhere.
        is_rule: It is a rule for calls of models, not a virtual model.
        cause: How its tier was found.
    """

    name: str
    strategy: str
    tier: Tier | Literal[""] = ""
    is_rule: bool = False
    cause: TierCause = ""


class SessionPlace(msgspec.Struct, frozen=True):
    """Where it is kept which target a session stays with.

    Attributes:
        key: `TABLE_KEY_BYTES` of a hash.
        keep_s: How long after its last call.
    """

    key: bytes
    keep_s: int


class Classification(msgspec.Struct, frozen=True):
    """What a model is to be asked before a call has its plan: how hard the call is.

    Attributes:
        target: Who is asked.
        timeout_s: For how long at most.
        question: What a user said last.
        plans: What is done with a call of each tier; of one that is missing there is no target.
    """

    target: Target
    timeout_s: float
    question: str
    plans: Mapping[Tier, Plan]

    def __repr__(self) -> str:
        """Without the question: it is what somebody said."""
        return f"Classification({self.target.name!r}, {self.timeout_s} s)"


class Plan(msgspec.Struct, frozen=True):
    """Which targets to try, in order.

    Attributes:
        targets: At least one; none where it is told of a call that no target was left for.
        candidates: Names of all that were considered.
        route: None for a model that was named itself.
        session: Of a call that is part of one.
        hedge_after_s: How long the first target may be without a token before the second is asked beside it;
            None: as long as it likes.
        classification: Where a model has to be asked first; the rest is what is done when it does not say.
    """

    targets: tuple[Target, ...]
    candidates: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    route: RouteFacts | None = None
    session: SessionPlace | None = None
    hedge_after_s: float | None = None
    classification: Classification | None = None


class CallFacts(msgspec.Struct, frozen=True):
    """What a plan depends on, beside the configuration and the health of targets.

    Attributes:
        caller: Who calls.
        endpoint: What is asked for.
        headers: The caller's.
        metadata: Of the call, as resolved.
        call: None where the body is not read.
        account: The one that has what the call goes on from, "" where any will do.
    """

    caller: Caller
    endpoint: Endpoint
    headers: Headers
    metadata: Mapping[str, str]
    call: Call | None = None
    account: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """How an attempt at a target went, as far as that says something of the target.

    Attributes:
        verdict: `good`; `sick` when the provider failed (5xx, 529, silence, no connection, our own
            credentials refused); `none` when it says nothing of it (the caller's mistakes, its leaving, its
            own time limits, 429).
        status: What the attempt ended with, as a caller would see it.
        cool_down_s: How long the provider wants not to be asked (`Retry-After`), 0.0 when it did not say.
        took_ms: From the beginning of the attempt to its end.
        first_token_ms: To the first content of a stream, None when there was none.
        per_output_token_ms: Between its first content and its end, for each token of the output.
        had_leave: It may have been the one call that is let through to find out how the target does.
    """

    verdict: Literal["good", "sick", "none"]
    status: int
    cool_down_s: float = 0.0
    took_ms: float = 0.0
    first_token_ms: float | None = None
    per_output_token_ms: float | None = None
    had_leave: bool = True


class Fetched(msgspec.Struct, frozen=True):
    """The whole answer to a `Fetch`.

    Attributes:
        headers: Names in lower case.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetch(Protocol):
    """One bounded GET, beside the calls; see `gateway.upstream.fetch`."""

    async def __call__(self, url: str, *, limit_bytes: int, timeout_s: float) -> Fetched:
        """Ask *url*, without credentials, and follow no redirection.

        Raises:
            GatewayError: No answer, one that is no HTTP, too late or above *limit_bytes*.
        """


class AttemptObserver(Protocol):
    """Who wants to know of attempts, and may hold one back: the health of targets."""

    def admit(self, target: Target) -> SkipReason | None:
        """Take leave to begin an attempt at *target* of a plan of several.

        Returns:
            None when it may begin (of a target that is being probed: this call is the probe), else why not.
        """

    def wait_s(self, name: str) -> float:
        """How long until a target may be asked again, 0.0 when it may be or nobody knows."""

    def went_well(self, target: Target) -> bool:
        """Note that an attempt was good; True where it was not noted, as `ended` is to know more of it."""

    def ended(self, target: Target, outcome: Outcome) -> None:
        """Note how an attempt went, also one that nobody was asked about."""


class Usage(msgspec.Struct, frozen=True, gc=False):
    """What one reply used, whatever the provider's own way of counting; None where it did not say.

    Attributes:
        input_tokens: All of the input: cached, written to the cache, audio and images included.
        output_tokens: All of the output: reasoning, audio and images included.
        source: `provider` as reported; `estimated` by us from sizes; `partial` when the reply did not end.
        cached_input_tokens: Of the input, read from the provider's prompt cache.
        reasoning_output_tokens: Of the output, never shown.
        cache_write_input_tokens: Of the input, written to the prompt cache.
        cache_write_1h_input_tokens: Of those, written to be kept for an hour.
        audio_input_tokens: Of the input, read from the cache or not; the next three likewise, of what their
            names say.
        cached_audio_input_tokens: Of the audio, read from the cache; images likewise.
        audio_s: Seconds of audio, where they and not tokens are counted.
        input_characters: Characters to be spoken.
        pages: Pages read from a document; of these `annotated_pages` were annotated too.
        billed_input_tokens: Of the input, what is paid, where the provider says so; the output likewise.
        search_units: Searches as they are paid for: one query with up to a hundred documents, at Cohere.
        samplings: What of all this was done apart from the answer, or by another model than the one that was
            asked, each paid by itself.
    """

    input_tokens: int | None
    output_tokens: int | None
    source: UsageSource
    cached_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_write_1h_input_tokens: int | None = None
    audio_input_tokens: int | None = None
    image_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    image_output_tokens: int | None = None
    cached_audio_input_tokens: int | None = None
    cached_image_input_tokens: int | None = None
    audio_s: float | None = None
    input_characters: int | None = None
    pages: int | None = None
    annotated_pages: int | None = None
    billed_input_tokens: int | None = None
    billed_output_tokens: int | None = None
    search_units: int | None = None
    samplings: tuple[Sampling, ...] = ()


class Sampling(msgspec.Struct, frozen=True, gc=False):
    """A part of a usage that is paid by itself: a summary of what was said before, what an adviser said.

    Attributes:
        model_id: As the provider names who did it, "" for the model that was asked.
        usage: What it used.
    """

    model_id: str
    usage: Usage


SAMPLED_COUNTS: Final = (
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_input_tokens",
    "cache_write_1h_input_tokens",
    "image_input_tokens",
    "image_output_tokens",
    "cached_image_input_tokens",
)
"""What samplings have a part in of a `Usage`."""


class Price(Protocol):
    """What replies of one target cost, worked out once from the configuration; see `gateway.pricing`."""

    def cost_usd(self, usage: Usage) -> float | None:
        """What *usage* costs, None when it lacks what this price is for."""

    def tokens_usd(self, input_tokens: int, output_tokens: int) -> float | None:
        """What so many tokens cost of which none has its own rate; None where nothing is paid by tokens."""

    def shown(self) -> dict[str, Any]:
        """The price as the list of models shows it."""


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The W3C trace context that a span continues or gives on.

    Attributes:
        trace_id: 16 bytes.
        span_id: 8 bytes: the parent, when this came from a caller.
        flags: The trace-flags byte.
        state: `tracestate` as received, "" when none.
    """

    trace_id: bytes
    span_id: bytes
    flags: int
    state: str = ""


class Headers(Protocol):
    """Request headers by lower-case name."""

    def get(self, name: str) -> str | None:
        """The value, several of one name joined by ", "; None when absent."""

    def get_all(self, name: str) -> list[str]:
        """Every value of that name, in order."""

    def starting_with(self, prefix: str) -> Sequence[str]:
        """Lower-case names that do, in order, repeated ones once."""

    def raw(self, names: Sequence[bytes]) -> tuple[bytes | None, ...]:
        """Every value of these names, as the bytes that came; there may be None for a name without one."""


class Client(Protocol):
    """The caller's end of one HTTP exchange, given to the pipeline by the edge.

    Attributes:
        route: The canonical path (`/v1/chat/completions`), whatever prefix was used; "" when there is none.
        has_started: The head of the response has been sent.
    """

    method: str
    path: str
    route: str
    scheme: str
    server_address: str
    server_port: int | None
    peer_address: str
    has_started: bool

    @property
    def headers(self) -> Headers:
        """The request's headers."""

    @property
    def query(self) -> str:
        """What followed the `?`, as it was written."""

    @property
    def has_body(self) -> bool:
        """The head announces a body."""

    @property
    def declared_bytes(self) -> int | None:
        """How long the body is by its head, None when that does not say.

        Raises:
            InvalidFraming: The head says it in a way that others may understand otherwise.
        """

    async def read_piece(self) -> bytes:
        """The next piece of the body, b"" at its end.

        Raises:
            BodyTimeout: None came for too long.
            InvalidFraming: Its chunks are none, or end before the last.
            ClientDisconnected: The caller left before the body was complete.
        """

    async def until_gone(self) -> None:
        """After the body: wait for the caller to leave, which raises `ClientDisconnected`."""

    async def read_body(self, limit_bytes: int, hold: Callable[[int], None]) -> bytes:
        """The whole body.

        Args:
            limit_bytes: Its length at most.
            hold: Told of its bytes before they are held, of all at once where the head tells; what it raises
                ends the reading.

        Raises:
            BodyTooLarge: It is longer than *limit_bytes*.
            InvalidFraming: Its chunks are none, or end before the last.
            ClientDisconnected: The caller left before it was complete.
        """

    @property
    def is_short(self) -> bool:
        """The body has come soon after its head and is taken in without anybody reading it."""

    async def drop_body(self) -> None:
        """After a refusal: take in what is left of the body, as else the connection would break off.

        Not for long, and not what is very long.
        """

    def watch(self) -> AbstractContextManager[object]:
        """A block, for after the body, that ends with `ClientDisconnected` once the caller has gone."""

    async def respond(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a whole response."""

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the head of a stream."""

    async def write(self, data: bytes) -> None:
        """Send a piece of the stream; returns when the transport can take more."""

    async def end(self) -> None:
        """End the stream."""


class UpstreamRequest(msgspec.Struct, frozen=True):
    """One exchange to make: always a POST of a JSON body.

    Attributes:
        headers: Of this request alone.
        lines: Header lines that its target is always sent.
        timeout_s: For the whole exchange; None leaves only the limits on silence.
        token: The bearer token to send, by how it is asked for.
        signing: What to sign the request with.
        limits: How long to wait for a connection, and for what it brings.
        tls: Certificates of the target's own, None for most.
    """

    url: str
    headers: list[tuple[str, str]]
    body: bytes
    timeout_s: float | None = None
    lines: bytes = b""
    token: AnyTokenRequest | None = None
    signing: AwsSigning | None = None
    limits: TimeLimits = USUAL_LIMITS
    tls: TlsFiles | None = None

    def __repr__(self) -> str:
        """Without headers and body: they hold credentials, and what somebody said."""
        return f"UpstreamRequest({self.url!r}, {len(self.body)} bytes)"


class BodySource(Protocol):
    """A body that is sent on while it comes."""

    @property
    def length(self) -> int | None:
        """Its bytes, None when that is known only at its end."""

    async def read_piece(self) -> bytes:
        """The next piece, b"" at its end; what this raises ends the exchange."""

    async def until_gone(self) -> None:
        """After its end: wait for its sender to leave, which raises `ClientDisconnected`."""


class Passage(msgspec.Struct, frozen=True):
    """One exchange of any method, path and kind of body.

    Attributes:
        url: With its query, escapes as they are to be sent.
        headers: All but `host` and what frames the body.
        body: Bytes, or what gives them piece by piece; such a one is sent once at most.
        timeout_s: As in `UpstreamRequest`; *token*, *signing*, *limits* and *tls* too.
    """

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes | BodySource
    timeout_s: float | None = None
    token: AnyTokenRequest | None = None
    signing: AwsSigning | None = None
    limits: TimeLimits = USUAL_LIMITS
    tls: TlsFiles | None = None

    def __repr__(self) -> str:
        """Without headers and body: they hold credentials, and what somebody said."""
        return f"Passage({self.method} {self.url!r})"


TABLE_KEY_BYTES: Final = 16
TABLE_VALUE_BYTES: Final = 24


class Table(Protocol):
    """A bounded map that the workers of a host share; see `gateway.store`."""

    def put(self, key: bytes, value: bytes, *, keep_s: int) -> None:
        """Keep *value* under *key*, `TABLE_KEY_BYTES` of a hash, for *keep_s* seconds at most."""

    def find(self, key: bytes) -> bytes | None:
        """What is kept under *key*, filled up to `TABLE_VALUE_BYTES`."""


class Elsewhere(Protocol):
    """What other replicas have put into such a table; see `gateway.store.redis_table`."""

    async def hear(self, keys: Sequence[bytes]) -> bool:
        """Ask for those of *keys* that the table does not have, and put into it what is found.

        Returns:
            Whether anything was.
        """


ROLLING_SLOTS: Final = 12
"""Parts of a rolling window; what was counted in one leaves the window at once, when all of it is older."""

PARALLEL: Final = -1
"""`Charge.window_s` of what is taken for as long as a call lasts."""

PARALLEL_RESET_S: Final = 1.0
"""Nobody knows when a call ends; it is worth another try then."""

_UNKNOWN_RESET_S: Final = 1.0
"""The same of what nobody can say whether it has room."""

_UNBOUNDED: Final = 1 << 63


class Charge(msgspec.Struct, frozen=True):
    """What a call adds to one counter.

    Attributes:
        key: `TABLE_KEY_BYTES` of a hash: of the rule, whom it counts for, and the window: `window_s` and, of
            a calendar window, when that is. No two charges of one call have the same.
        amount: Requests, tokens, or millionths of a USD; at least 0.
        limit: The most that may be counted there.
        window_s: Seconds of a rolling window; 0 for a calendar window, which the key names; `PARALLEL`.
        expires_s: Unix time at which a calendar window ends; 0 for one without end, and for the others.
        is_enforced: False where it is counted and never refuses.
    """

    key: bytes
    amount: int
    limit: int
    window_s: int
    expires_s: int = 0
    is_enforced: bool = True

    def has_room(self, used: int) -> bool:
        """Whether it fits beside what is *used*, as a charge of nothing always does."""
        return not self.amount or used + self.amount <= self.limit

    def reset_s(self, now_s: float) -> float:
        """Seconds until nothing of what is counted there now is counted any more; `math.inf` for never."""
        if self.window_s > 0:
            slot = int(now_s * ROLLING_SLOTS) // self.window_s
            return (slot + ROLLING_SLOTS + 1) * self.window_s / ROLLING_SLOTS - now_s
        if self.window_s == PARALLEL:
            return PARALLEL_RESET_S
        return max(0.0, self.expires_s - now_s) if self.expires_s else inf


# What each call has, and can be part of no reference cycle, is not watched for any (`gc=False`).
class Decision(msgspec.Struct, frozen=True, gc=False):
    """What became of charges; its tuples are in their order.

    Attributes:
        refused: Which charge is in the way: of several, as counters answer, the one that resets first; None
            when all were taken.
        used: What is counted in each, this call included if it was taken.
        reset_s: Of a charge in the way, seconds until there is room for it (where it could never have room,
            until nothing is counted any more). Of others as `Charge.reset_s`, or 0 where nothing is
            counted. Where all were taken it may be ().
        at_s: Unix time of the decision, by the clock of the counters.
        is_shared: It was decided for all replicas together, not for this host alone.
        is_unknown: Nobody could say whether there is room, which is why it was refused.
    """

    refused: int | None
    used: tuple[int, ...]
    reset_s: tuple[float, ...]
    at_s: float
    is_shared: bool = False
    is_unknown: bool = False


def unknown(charges: Sequence[Charge], here: Decision) -> Decision:
    """The refusal of *charges*, one of which is enforced, where only what is counted *here* is known."""
    refused = next(at for at, charge in enumerate(charges) if charge.is_enforced)
    reset_s = (_UNKNOWN_RESET_S,) * len(charges)
    return Decision(refused, here.used, reset_s, here.at_s, is_unknown=True)


class Correction(msgspec.Struct, frozen=True):
    """What is to be added to a charge that was taken.

    Attributes:
        amount: Often negative; of a parallel call always all of it.
        decision: What took it.
    """

    charge: Charge
    amount: int
    decision: Decision


class CounterGroup:
    """Counters that are charged together by all calls of a kind. One object stands for all such calls.

    Attributes:
        charges: Of each a charge of nothing.
        settled: Which of them are corrected when a call has ended.
        most: Of each the most that may be counted there, where it refuses; else more than anybody counts.
        found: What the counters keep by it of where it is; theirs alone.
    """

    __slots__ = ("charges", "found", "most", "settled")

    def __init__(self, charges: Iterable[Charge], settled: Sequence[int] = ()) -> None:
        self.charges = tuple(charges)
        self.settled = tuple(settled)
        self.most = tuple(charge.limit if charge.is_enforced else _UNBOUNDED for charge in self.charges)
        self.found: Any = None


class Charges(Sequence[Charge]):
    """What one call adds to each counter of a group.

    The same as a list of `Charge`, but these are only made where somebody looks at one.
    """

    __slots__ = ("amounts", "group")

    def __init__(self, group: CounterGroup, amounts: Sequence[int]) -> None:
        self.group = group
        self.amounts = amounts

    def __len__(self) -> int:
        """How many counters there are."""
        return len(self.amounts)

    @overload
    def __getitem__(self, at: int) -> Charge: ...

    @overload
    def __getitem__(self, at: slice) -> list[Charge]: ...

    def __getitem__(self, at: int | slice) -> Charge | list[Charge]:
        """One of them, or some."""
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        of = self.group.charges[at]
        return Charge(of.key, self.amounts[at], of.limit, of.window_s, of.expires_s, of.is_enforced)


class Corrections(Sequence[Correction]):
    """What is to be added to charges that were taken together; the same as a list of `Correction`.

    Attributes:
        amounts: What is added to each of the charges that are settled (`CounterGroup.settled`), or 0.
        decision: What took them.
    """

    __slots__ = ("amounts", "charges", "decision")

    def __init__(self, charges: Charges, amounts: Sequence[int], decision: Decision) -> None:
        self.charges = charges
        self.amounts = amounts
        self.decision = decision

    def __len__(self) -> int:
        """How many there are."""
        return len(self.amounts) - self.amounts.count(0)

    @overload
    def __getitem__(self, number: int) -> Correction: ...

    @overload
    def __getitem__(self, number: slice) -> list[Correction]: ...

    def __getitem__(self, number: int | slice) -> Correction | list[Correction]:
        """One of them, or some."""
        each = list(self)
        return each[number]

    def __iter__(self) -> Iterator[Correction]:
        """Those that change something."""
        for at, amount in zip(self.charges.group.settled, self.amounts, strict=True):
            if amount:
                yield Correction(self.charges[at], amount, self.decision)


class Counters(Protocol):
    """Counters that the workers of a host share; see `gateway.store.counter_table`."""

    def reserve(self, charges: Sequence[Charge]) -> Decision:
        """Take all *charges* or none."""

    def settle(self, corrections: Sequence[Correction]) -> None:
        """Correct what was taken.

        What is given back of a rolling window is taken from when it was counted; what comes on top is
        counted now. What is gone already stays so.
        """

    def usage(self, charges: Sequence[Charge]) -> Decision:
        """What `reserve` would answer, with what is counted without this call."""


class RemoteCounters(Protocol):
    """Counters that replicas share, one round trip for each question; raises nothing when they are away.

    What they then do is their own rule; `Decision.is_shared` tells.
    """

    async def reserve(self, charges: Sequence[Charge]) -> Decision:
        """Like `Counters.reserve`."""

    async def settle(self, corrections: Sequence[Correction]) -> None:
        """Like `Counters.settle`."""

    async def usage(self, charges: Sequence[Charge]) -> Decision:
        """Like `Counters.usage`."""


LimitKind = Literal["requests", "tokens", "cost", "parallel"]
"""What a limit counts; `cost` in millionths of a USD."""


class LimitNote(msgspec.Struct, frozen=True):
    """What one rule said of a call.

    Attributes:
        rule: Its id.
        is_budget: It is a budget's, not a rate limit's.
        outcome: `exceeded` where it has no room and is not what refused the call.
        target: Whom it was asked for, "" for the call as it was asked.
        used: What was counted, this call included if it was taken.
        reset_s: As in `Decision`.
        is_enforced: It may refuse; else it only watches, whether it has room or not.
    """

    rule: str
    kind: LimitKind
    is_budget: bool
    outcome: Literal["allowed", "exceeded", "refused"]
    target: str
    limit: int
    used: int
    reset_s: float
    is_enforced: bool = True


class HeldLimit(msgspec.Struct, frozen=True):
    """A limit that holds for calls of a kind; see `LimitNote`."""

    rule: str
    kind: LimitKind
    is_budget: bool
    target: str
    limit: int
    is_enforced: bool = True


class Reached(msgspec.Struct, frozen=True):
    """A threshold of a budget that a call has reached.

    Attributes:
        rule: The budget's id.
        limit: Which of its limits, as manifests have it.
        percent: Of that limit.
    """

    rule: str
    limit: str
    percent: float


class HeldLimits:
    """The limits that hold for calls of a kind and are asked together. One object stands for all such calls.

    So whoever works something out of them can keep it by this object.
    """

    __slots__ = ("limits",)

    def __init__(self, limits: tuple[HeldLimit, ...]) -> None:
        self.limits = limits


class LimitsSaid(msgspec.Struct, frozen=True, gc=False):
    """What limits that were asked together said of a call.

    Attributes:
        charges: What was asked of each.
        without_room: Which of them had none; `Decision.refused` is one of these.
    """

    held: HeldLimits
    charges: Sequence[Charge]
    decision: Decision
    without_room: tuple[int, ...] = ()

    @property
    def verdict(self) -> tuple[HeldLimits, int | None, tuple[int, ...]]:
        """The same for all calls of which the same was said, but for figures."""
        return self.held, self.decision.refused, self.without_room

    def notes(self) -> list[LimitNote]:
        """The same, one by one."""
        return [self._note(at, limit) for at, limit in enumerate(self.held.limits)]

    def _note(self, at: int, limit: HeldLimit) -> LimitNote:
        decision = self.decision
        outcome: Literal["allowed", "exceeded", "refused"] = "allowed"
        if at in self.without_room:
            outcome = "refused" if at == decision.refused else "exceeded"
        reset_s = decision.reset_s[at] if decision.reset_s else self.charges[at].reset_s(decision.at_s)
        return LimitNote(
            limit.rule,
            limit.kind,
            limit.is_budget,
            outcome,
            limit.target,
            limit.limit,
            decision.used[at],
            reset_s,
            limit.is_enforced,
        )


def verdicts(said: Sequence[LimitsSaid]) -> tuple[object, ...]:
    """The same for all calls of which the same was *said*, but for figures: part of a key."""
    if len(said) == 1:
        # As nearly every call has it that limits hold for.
        return said[0].verdict
    return tuple([each.verdict for each in said])


class Spent(msgspec.Struct, frozen=True, gc=False):
    """What one exchange with a target used.

    Attributes:
        tokens: Of input and output; 0 where there was none, and where nobody counts them.
        output_tokens: Of one reply where there are several, None where it says nothing of what calls of this
            target use.
        cost_usd: None when it is not known.
    """

    target: str
    tokens: int
    output_tokens: int | None
    cost_usd: float | None


class Permit(Protocol):
    """What a call has been admitted by: what it took of each limit, until that is settled."""

    @property
    def said(self) -> Sequence[LimitsSaid]:
        """What the limits said that hold for it."""

    @property
    def reached(self) -> Sequence[Reached]:
        """Thresholds of budgets that it has reached, once it is settled."""

    @property
    def is_near(self) -> bool:
        """So much of a limit was taken that another call may be refused for what this one gives back."""

    @property
    def refusal(self) -> Exception | None:
        """Why the caller, or a target, was not admitted.

        Of several in its way the one that has room last, between targets the one that has it first.
        """

    def has_admitted(self, target: Target) -> bool:
        """Whether what an attempt at *target* needs has been taken."""

    async def admit_target(self, target: Target) -> bool:
        """Take what an attempt at *target* needs, unless that was done; False where a limit is used up."""

    async def admit_beside(self, target: Target) -> bool:
        """The same for an attempt that runs beside another."""

    def forgo(self, target: Target) -> None:
        """Give back what was taken for *target*: it is not asked."""

    async def use(self, spent: Sequence[Spent]) -> Exception | None:
        """Count what was *spent* so far by a call that goes on; why it may not, where nothing is left."""

    def may_read(self, target: Target) -> int | None:
        """Tokens of input that an attempt at *target* may have, None where nobody has looked."""

    def may_use(self, target: Target) -> tuple[int, float]:
        """Tokens and USD that an attempt at *target* may use; none of a long call that no limit had read."""

    def settle(self, spent: Sequence[Spent]) -> None:
        """At the end of the call: correct what was taken to what was *spent*."""

    def headers(self) -> HeaderPairs:
        """What the caller is told of the limits: `x-ratelimit-*`."""


class UpstreamReply(Protocol):
    """The provider's answer, its head read and its body not.

    Attributes:
        headers: In order, names in lower case.
        token: What the request was signed with beside the target's headers, "" when nothing; never shown.
    """

    status: int
    headers: HeaderPairs
    token: str

    async def read_chunk(self) -> bytes:
        """The next piece of the body as it arrives, b"" at its end.

        Raises:
            UpstreamUnreachable: The connection broke.
            UpstreamTimeout: Silence for too long.
        """

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body; raises as `read_chunk`, and `UpstreamBadReply` when longer than *limit_bytes*."""

    async def finish(self) -> None:
        """Read what little may follow the last piece that matters; raises nothing."""

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else close it."""
