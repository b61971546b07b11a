"""What went wrong with a destination, and what an operator can do about it, in plain words.

Pure: what is known of one try goes in. `RULES` is the whole knowledge, the first rule that fits speaks;
docs/elastic.md shows the same table, and a test compares them. No text here or there quotes a header.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit

from gateway.delivery.outcome import BROKEN, WEB_PAGE
from gateway.elastic import (
    KeyMistake,
    Product,
    find_key_mistake,
    find_wrong_product,
    is_elastic_endpoint,
    other_signal_in,
    takes_bearer,
)

MAX_CLOCK_DIFFERENCE_S: Final = 60.0
"""Beyond this the times of our spans are worth a word: they show up in the wrong place of Kibana's graphs."""

_GRPC_PORT: Final = 4317
_HTTP_PORT: Final = 4318
_SUCCESS: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class Try:
    """One try at a destination, as far as it is known.

    Attributes:
        endpoint: As configured; "" when unknown.
        protocol: http/protobuf, http/json or grpc.
        signal: traces or metrics.
        authorization: The header's value, "" without one; None when unknown.
        is_proxied: A proxy of the environment leads there.
        status: HTTP status (of gRPC: what OTLP's table makes of its code), None without an answer.
        message: What the endpoint, or our own exception, said.
        rejected: How many spans or data points an endpoint did not take that took the others.
        clock_ahead_s: How far our clock is ahead of the answer's `Date`; 0.0 when unknown.
    """

    endpoint: str = ""
    protocol: str = "http/protobuf"
    signal: str = "traces"
    authorization: str | None = field(default=None, repr=False)
    is_proxied: bool = False
    status: int | None = None
    message: str = ""
    rejected: int = 0
    clock_ahead_s: float = 0.0

    @property
    def is_grpc(self) -> bool:
        """It goes over gRPC."""
        return self.protocol == "grpc"

    @property
    def is_for_another_signal(self) -> bool:
        """The endpoint has the path of another signal, where nothing takes what is sent."""
        return not self.is_grpc and bool(other_signal_in(self.endpoint, self.signal))

    @property
    def scheme(self) -> str:
        """The endpoint's scheme."""
        return self.endpoint.partition("://")[0].lower()

    @property
    def port(self) -> int | None:
        """The endpoint's port, None when it has none of its own."""
        try:
            return urlsplit(self.endpoint).port
        except ValueError:
            return None

    @property
    def path(self) -> str:
        """The endpoint's path."""
        try:
            return urlsplit(self.endpoint).path
        except ValueError:
            return ""

    @property
    def key_mistake(self) -> KeyMistake | None:
        """What is wrong with the key, as far as Elastic is concerned."""
        said = _KEY_ANSWERS.search(self.message)
        if self.authorization is None:
            return _MISTAKE_BY_ANSWER[said.lastgroup] if said and said.lastgroup else None
        if not (is_elastic_endpoint(self.endpoint) or said):
            return None
        if takes_bearer(self.endpoint) and self.authorization.lower().startswith("bearer "):
            return None
        return find_key_mistake(self.authorization)

    def says(self, *patterns: str) -> bool:
        """Whether the message matches one of these, in any case."""
        words = self._words()
        return any(re.search(pattern, words, re.IGNORECASE) for pattern in patterns)

    def _words(self) -> str:
        """The message without the endpoint's host and URL, which may be called `alerts` or `dns-sink`."""
        words = _URL_IN_WORDS.sub("", self.message)
        host = self.endpoint.rpartition("://")[2].partition("/")[0].partition(":")[0]
        if not host:
            return words
        # In small letters, however it was written.
        return re.sub(rf"(?<![\w.-]){re.escape(host)}(?=:\d)", "", words, flags=re.IGNORECASE)


_T = TypeVar("_T")


class Words(NamedTuple):
    """What is told.

    Attributes:
        what: What happened; a sentence without its full stop.
        advice: What to do, whole sentences; "" when nothing is.
    """

    what: str
    advice: str


class Rule(NamedTuple, Generic[_T]):
    """One thing that goes wrong when something is tried.

    Attributes:
        what: What happened; a sentence without its full stop.
        advice: What to do, whole sentences.
        fits: Whether it is this that happened.
    """

    what: str
    advice: str
    fits: Callable[[_T], bool]


# The texts of Elastic's apikeyauth extension, for when the header is not known here.
_KEY_ANSWERS: Final = re.compile(
    r"(?P<NO_PREFIX>prefix not found)|(?P<MISSING>missing header)|(?P<NO_COLON>invalid API Key)"
    r"|(?P<NOT_BASE64>illegal base64)",
    re.IGNORECASE,
)
# As aiohttp's errors about an answer end.
_URL_IN_WORDS: Final = re.compile(r"\burl='[^']*'")
# How HTTP/2 begins, as aiohttp quotes what is no HTTP/1: length and type of a frame of settings. Others
# answer before they were asked too (SMTP, SSH), so that it is no HTTP/1 alone says nothing of gRPC.
_HTTP2_IN_PLACE: Final = r"b\\*['\"](\\+x00){2}(\\+x..|\\+.|.)\\+x04"
# The fourth letter of `HTTP/1.1`, where HTTP/2 has a frame's type.
_HTTP1_IN_PLACE: Final = r"got frame type 80\b"
# Of an endpoint that speaks HTTP/2 and no gRPC, as many with TLS do; grpcio tells its status so. 464: a load
# balancer's, for a protocol that is not that of what stands behind it.
_HTTP2_WITHOUT_GRPC: Final = "Received http2 header with status: (400|404|405|415|464|501)"
_NO_ADDRESS: Final = (
    "DNS",
    "name or service",
    "name resolution",
    "nodename",
    "getaddrinfo",
    "no address associated",
    "errors resolving",
    "lookup failed",
)
_NO_GZIP: Final = ("decompressor", "compression algorithm", "unsupported content.encoding", "grpc-encoding")
_NO_WAY: Final = ("unreachable", "no route")
_NOBODY: Final = ("refused", "connect call failed")
_PROXY_SAYS: Final = (r"Client\w*Proxy\w*Error", "HTTP proxy returned")
_MISTAKE_BY_ANSWER: Final = {mistake.name: mistake for mistake in KeyMistake}


def _answered(*statuses: int) -> Callable[[Try], bool]:
    return lambda tried: tried.status in statuses


def _unanswered(*patterns: str) -> Callable[[Try], bool]:
    return lambda tried: tried.status is None and tried.says(*patterns)


def _key(*mistakes: KeyMistake) -> Callable[[Try], bool]:
    return lambda tried: tried.status in (401, 403) and tried.key_mistake in mistakes


def _is_web_page(tried: Try) -> bool:
    return tried.status in _SUCCESS and tried.message == f"HTTP {tried.status}: {WEB_PAGE}"


def _names(product: Product) -> Callable[[Try], bool]:
    return lambda tried: (
        (tried.status not in _SUCCESS or _is_web_page(tried))
        and find_wrong_product(tried.endpoint) is product
    )


def _found_nobody(tried: Try) -> bool:
    """Whether no connection came about: then a usual port says nothing of what is spoken there."""
    return tried.status is None and tried.says(*_NO_ADDRESS, *_NO_WAY, *_NOBODY, *_PROXY_SAYS)


def _is_grpc_behind_http(tried: Try) -> bool:
    if tried.is_grpc:
        return False
    return tried.says(_HTTP2_IN_PLACE, "HTTP/2", "invalid HTTP version", "preface") or (
        tried.port == _GRPC_PORT
        and not _found_nobody(tried)
        and (tried.status is None or tried.status in (400, 404, 405, 415, 505))
    )


def _is_http_behind_grpc(tried: Try) -> bool:
    if not tried.is_grpc:
        return False
    return tried.says(
        *("http1", r"HTTP/1\.", _HTTP1_IN_PLACE, _HTTP2_WITHOUT_GRPC),
        *("preface", "ALPN", "frame with length", "malformed"),
    ) or (
        tried.port == _HTTP_PORT
        and not _found_nobody(tried)
        and tried.status not in (401, 403, 429, *_SUCCESS)
    )


def _is_clock(tried: Try) -> bool:
    return abs(tried.clock_ahead_s) > MAX_CLOCK_DIFFERENCE_S and (
        tried.status in (401, 403) or tried.says("not yet valid", "has expired")
    )


def _is_plain_to_tls(tried: Try) -> bool:
    return tried.scheme == "http" and (
        tried.says("to an? (HTTPS|TLS)", "plain HTTP request was sent", r"\\x15\\+x03")
        or (
            tried.port in (443, 8443)
            and tried.says("disconnected", "reset", "bad status line", "expected HTTP/")
        )
    )


_PROXY_KEY_WANTED: Final = _answered(407)
_TOO_LARGE: Final = _answered(413)
_LATE: Final = _answered(504)


def _wants_proxy_key(tried: Try) -> bool:
    return _PROXY_KEY_WANTED(tried) or (tried.status is None and tried.says(r"\b407\b"))


def _is_proxy(tried: Try) -> bool:
    """Whether it is the proxy that is not reached, or that says no; names of hosts tell nothing of that."""
    if tried.status is not None:
        return False
    # What is found by name then, and connected to, is the proxy; a handshake is with the endpoint again.
    return tried.says(*_PROXY_SAYS) or (tried.is_proxied and _found_nobody(tried))


def _is_too_large(tried: Try) -> bool:
    return _TOO_LARGE(tried) or (tried.status in (None, 400) and tried.says("too large"))


def _is_late(tried: Try) -> bool:
    return _LATE(tried) or _unanswered("no answer within", "timed? ?out", "deadline")(tried)


def _says_unavailable(tried: Try) -> bool:
    """Whether it is gRPC's own word for it, and not one of grpcio's about a connection."""
    return tried.status is None and tried.says("^gRPC UNAVAILABLE") and not tried.says("failed to connect")


def _is_at_another_signal(tried: Try) -> bool:
    # An empty request of metrics, as a test sends it, is taken there: it reads as an empty one of spans.
    return tried.is_for_another_signal and (
        tried.status in (400, 404, 405, 415, 422) or (tried.status in _SUCCESS and not _is_web_page(tried))
    )


def _lacks_path(tried: Try) -> bool:
    return not tried.is_grpc and tried.status in (404, 405) and not tried.path.endswith(f"/v1/{tried.signal}")


RULES: Final[tuple[Rule[Try], ...]] = (
    Rule(
        "sending ended by an error of the disk or of the gateway itself",
        "See the log just before it, and the state folder's disk. It begins anew every half minute; calls "
        "wait in the spool.",
        lambda tried: tried.status is None and tried.message.startswith(BROKEN),
    ),
    Rule(
        "the endpoint is Kibana's address",
        "Use the OTLP endpoint: in Elastic Cloud, Add data > Application > OpenTelemetry shows it; its host "
        "has '.ingest.' in it.",
        _names(Product.KIBANA),
    ),
    Rule(
        "the endpoint is Elasticsearch's address",
        "Use the OTLP endpoint: in Elastic Cloud its host has '.ingest.' in it; self-managed, it is that of "
        "an EDOT collector in gateway mode (port 4318).",
        _names(Product.ELASTICSEARCH),
    ),
    Rule(
        "the key was refused: the Authorization header lacks the prefix 'ApiKey '",
        "Write the word ApiKey and a blank before the key: Authorization: ApiKey <key>. Kibana shows the key "
        "without it.",
        _key(KeyMistake.NO_PREFIX),
    ),
    Rule(
        "the key was refused: no Authorization header was sent",
        "Add the header Authorization: ApiKey <key> to the destination.",
        _key(KeyMistake.MISSING),
    ),
    Rule(
        "the key was refused: the header says Bearer or Basic where Elastic wants ApiKey",
        "Write Authorization: ApiKey <key>. Bearer is for the secret token of an APM server only.",
        _key(KeyMistake.BEARER),
    ),
    Rule(
        "the key was refused: it is not base64",
        "Use the key's 'encoded' form. From id and api_key it is made with: printf '%s' 'ID:API_KEY' | "
        "base64. See that it was copied whole.",
        _key(KeyMistake.NOT_BASE64),
    ),
    Rule(
        "the key was refused: it is base64 of something that is not id:key",
        "Use the key's 'encoded' form, or encode id:api_key, not api_key alone: printf '%s' 'ID:API_KEY' "
        "| base64.",
        _key(KeyMistake.NO_COLON),
    ),
    Rule(
        "this machine's clock differs from the endpoint's by more than a minute",
        "Set the clock (NTP): keys and certificates are refused outside their time, and spans show up at the "
        "wrong hour.",
        _is_clock,
    ),
    Rule(
        "something before the endpoint refused the request, with a page of its own",
        "See the log of what stands there: a proxy or firewall may want to know who asks, or may take "
        "prompts for an attack (exclude_request_data leaves them out). Sending is paused and tried now "
        "and then.",
        lambda tried: tried.status in (401, 403) and tried.message == f"HTTP {tried.status}: {WEB_PAGE}",
    ),
    Rule(
        "the endpoint refused the key",
        "See that the key is written as the endpoint's operator gives it, with its scheme (Elastic: ApiKey "
        "<key>), and that it was not revoked and has not expired. Sending is paused and tried now and "
        "then: a mended key needs no restart.",
        _answered(401),
    ),
    Rule(
        "the key is known and lacks the right to write",
        "Give it that right. Elastic: application 'apm', privilege 'event:write', resources '*'; a key made "
        "by Add data > OpenTelemetry has it.",
        _answered(403),
    ),
    Rule(
        "the endpoint limits its intake",
        "Calls wait in the spool, which is bounded, and go out later, not before its Retry-After; of metrics "
        "the next request holds what this one did. If it goes on, more arrives than the plan takes: send "
        "less (sampling, no request data, when filters), or raise the limit. Elastic Cloud Hosted: a larger "
        "Elasticsearch raises it; Serverless: rare and passing.",
        _answered(429),
    ),
    Rule(
        "gRPC needs the package grpcio, which is not installed",
        "Install the gateway with its extra grpc (pip install 'gateway[grpc]'), or set type: http, which "
        "every OTLP endpoint also takes.",
        _unanswered("needs grpcio"),
    ),
    Rule(
        "a certificate or key of ours cannot be used",
        "See the tls part of the destination: paths are relative to the manifest, the gateway must be able "
        "to read the files, they are PEM, the key belongs to the certificate and is not encrypted (openssl "
        "pkey -in KEY -out PLAIN takes the encryption off).",
        _unanswered(r"tls\.(ca|cert|key)_file"),
    ),
    Rule(
        "what was to be sent cannot be written as JSON",
        "That alone is dropped, and counted; encoding: proto sends it as it is.",
        _unanswered("not an Export"),
    ),
    Rule(
        "the request is too large for the endpoint",
        "Smaller requests are tried by themselves. Lower batch.max_bytes (Elastic takes 4,000,000 bytes "
        "uncompressed), or raise the collector's max_request_body_size.",
        _is_too_large,
    ),
    Rule(
        "the endpoint does not take gzip",
        "Set compression: none.",
        lambda tried: tried.status in (400, 404, 415) and tried.says(*_NO_GZIP),
    ),
    Rule(
        "the endpoint wants TLS, and plain HTTP was sent",
        "Write https:// in the endpoint.",
        _is_plain_to_tls,
    ),
    Rule(
        "the endpoint speaks gRPC, and HTTP was sent",
        "Set type: grpc, or use its OTLP/HTTP port, usually 4318 with the path /v1/traces.",
        _is_grpc_behind_http,
    ),
    Rule(
        "the endpoint speaks HTTP, and gRPC was sent",
        "Set type: http with the path /v1/traces, or use its gRPC port, usually 4317.",
        _is_http_behind_grpc,
    ),
    Rule(
        "the endpoint speaks plain HTTP, and TLS was sent",
        "Write http:// in the endpoint, or give its server a certificate.",
        _unanswered("wrong.version.number", "record.layer.failure", "http.request", "packet length too long"),
    ),
    Rule(
        "the endpoint has the path of another signal",
        "Traces go to /v1/traces and metrics to /v1/metrics: see the end of the endpoint.",
        _is_at_another_signal,
    ),
    Rule(
        "nothing is at this path: the endpoint does not end in /v1/traces",
        "Add /v1/traces to the endpoint (/v1/metrics for metrics); only an address without any path gets it "
        "by itself.",
        _lacks_path,
    ),
    Rule(
        "nothing takes telemetry at this path",
        "See the host and the path: the address may be another product's, or its OTLP receiver is off or "
        "takes gRPC only.",
        _answered(404, 405, 501),
    ),
    Rule(
        "a web page answered, so nothing was taken",
        "This is no OTLP endpoint: see the host and the path. A sign-in page or a proxy may stand in front "
        "of it, or the address is that of a product's pages.",
        _is_web_page,
    ),
    Rule(
        "the gateway may not call the address of the endpoint",
        "Write another endpoint, or change the setting that is named, in gateway-global-settings.",
        _unanswered(r"egress_settings\."),
    ),
    Rule(
        "the proxy wants to know who asks",
        "Put its user and password into the proxy's URL (HTTPS_PROXY=http://user:password@proxy:port).",
        _wants_proxy_key,
    ),
    Rule(
        "the proxy does not lead there",
        "See HTTPS_PROXY, HTTP_PROXY and NO_PROXY in the environment of gateway serve; put the "
        "endpoint's host into NO_PROXY to go directly.",
        _is_proxy,
    ),
    Rule(
        "the host name of the endpoint has no address",
        "See its spelling and this machine's DNS (getent hosts <host>). In a container: is the name one "
        "of the container's network?",
        _unanswered(*_NO_ADDRESS),
    ),
    Rule(
        "the endpoint's certificate has expired, or is not valid yet",
        "Renew it, and see this machine's clock.",
        _unanswered("has expired", "not yet valid"),
    ),
    Rule(
        "the endpoint's certificate is for another name",
        "Write the endpoint with the name that its certificate carries.",
        _unanswered(
            "hostname mismatch", "ip address mismatch", "doesn't match", "not valid for", "hostname verif"
        ),
    ),
    Rule(
        "the endpoint's certificate is signed by nobody whom this machine trusts",
        "Name the authority's certificate in tls.ca_file, or add it to the system's. A proxy that opens "
        "TLS has an authority of its own.",
        _unanswered("certificate.verify.failed", "self.signed", "local issuer"),
    ),
    Rule(
        "the endpoint wants a certificate from us, or another version of TLS",
        "Set tls.cert_file and tls.key_file to a pair that it accepts.",
        _unanswered("certificate.required", "handshake.failure", "alert", "unsupported.protocol", r"\[SSL"),
    ),
    Rule(
        "there is no way to the endpoint's network",
        "See this machine's routes and firewall, and whether it may go out directly or needs a proxy.",
        _unanswered(*_NO_WAY),
    ),
    Rule(
        "nothing listens at the endpoint's address",
        "See host and port, and that the collector runs. In a container, localhost is the container "
        "itself: use the service's name.",
        _unanswered(*_NOBODY),
    ),
    Rule(
        "the endpoint did not answer in time",
        "See that a firewall does not swallow the connection, and the load of the endpoint. What was "
        "sent waits and is sent again.",
        _is_late,
    ),
    Rule(
        "the endpoint, or what lies between, had not got the whole request in time",
        "See the way there and the load of the endpoint; a lower batch.max_bytes makes requests smaller. "
        "OTLP does not let us send the same again after this answer.",
        _answered(408),
    ),
    Rule(
        "the endpoint broke the connection off",
        "See its log, and what lies between: a load balancer without a server, or an endpoint that wants "
        "https://, or a certificate of ours (tls.cert_file).",
        _unanswered("disconnected", "reset", "closed", "broken pipe", "payload", "RST_STREAM", "goaway"),
    ),
    Rule(
        "what answers is no HTTP that can be read",
        "See what listens at the endpoint's address, and what lies between: a proxy or load balancer may "
        "garble answers. What was sent is sent again.",
        _unanswered("ClientResponseError", "Failed parsing HTTP/2"),
    ),
    Rule(
        "the endpoint or a header cannot be sent as it is written",
        "See it for line breaks, blanks and characters that are not ASCII.",
        _unanswered("invalid", "ValueError", "header"),
    ),
    Rule(
        "the endpoint is out of service for now",
        "Calls wait in the spool, which is bounded, and go out when it is back; of metrics the next request "
        "holds what this one did. If it goes on, see its state and its log.",
        lambda tried: _answered(502, 503)(tried) or _says_unavailable(tried),
    ),
    Rule(
        "the endpoint was not reached",
        "See its address, DNS, TLS and any proxy between.",
        lambda tried: tried.status is None,
    ),
    Rule(
        "the endpoint does not take this encoding",
        "Set encoding: proto, which every OTLP endpoint takes, and see that the address is an OTLP/HTTP "
        "endpoint.",
        _answered(406, 415),
    ),
    Rule(
        "the endpoint does not understand the request",
        "See that it is an OTLP endpoint and takes the configured encoding and compression.",
        _answered(400, 422),
    ),
    Rule(
        "the endpoint sends elsewhere (a redirect, which is not followed with a key)",
        "Write the address that it leads to; often https:// for http://, or a sign-in page stands in front.",
        lambda tried: tried.status is not None and 300 <= tried.status < 400,  # noqa: PLR2004 - the class
    ),
    Rule(
        "the endpoint has trouble of its own",
        "See its log; OTLP does not let us send the same again after this answer.",
        lambda tried: tried.status is not None and tried.status >= 500,  # noqa: PLR2004 - the class
    ),
    Rule(
        "the endpoint refused the request",
        "See that it is written exactly as its operator gives it.",
        lambda tried: tried.status not in _SUCCESS,
    ),
    Rule(
        "taken, but for what the endpoint rejects",
        "That is lost there, and counted as rejected: see what it says, and its log.",
        lambda tried: tried.rejected > 0,
    ),
    Rule(
        "taken, but this machine's clock differs from the endpoint's by more than a minute",
        "Set the clock (NTP): spans show up at the wrong hour, or outside of what Kibana searches.",
        lambda tried: abs(tried.clock_ahead_s) > MAX_CLOCK_DIFFERENCE_S,
    ),
    Rule(
        "taken, with a remark",
        "It took what was sent. If nothing shows there, see its remark and its log.",
        lambda tried: bool(tried.message),
    ),
)


def explain(tried: Try) -> Words:
    """What happened and what to do; of a try that went well only that it did."""
    rule = next((rule for rule in RULES if rule.fits(tried)), None)
    if rule is None:
        return Words(f"taken (HTTP {tried.status})" if not tried.is_grpc else "taken", "")
    detail = tried.message
    if tried.status is not None and str(tried.status) not in detail:
        detail = f"HTTP {tried.status}{': ' if detail else ''}{detail}"
    return Words(f"{rule.what} ({detail})" if detail else rule.what, rule.advice)
