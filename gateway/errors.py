"""Every error a client can see.

Each class fixes its HTTP status, the `type` and `code` of the error body, who caused it (`source`) and
whether the same call may succeed when sent again. Messages are safe to show and say who must act. The code is
also `error.type` on spans and the metric label, so it is one of a small, documented set. The table is in
docs/errors.md.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

Source = Literal["client", "gateway", "upstream"]

CLIENT_CLOSED_REQUEST: Final = 499
"""What we note as status when the caller left before one was sent (nginx's number; nobody receives it)."""


def forget_frames(error: BaseException) -> None:
    """Let go of the frames that *error* came through, and what caused it.

    A frame that keeps an error whose traceback has that frame goes only when Python looks for such circles,
    which workers have it do seldom, and the body of the call with it.
    """
    known: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in known:
        known.add(id(found))
        found.__traceback__ = None
        found = found.__cause__ or found.__context__


class GatewayError(Exception):
    """A refusal or failure with a status and a body of its own.

    Attributes:
        message: For the caller: what is wrong, where, and what to do.
        param: The body field or header at fault, None when there is none.
        detail: For the operator's span only, never in the answer.
        excerpt: Beginning of what a provider sent instead of a reply: for the span too, and as it may quote
            the call, only where the words of calls may go.
        headers: Response headers that belong to the refusal.
        plan: The `Plan` that came to nothing, for the trace; None where there was none.
        own_status: What a provider said beside a page that is no error a caller could read, or within a
            success that is an error; 0.
        waited_for_caller: It came too late while the caller took what there was, not while a provider was
            waited for.
    """

    # Its words are those of `model`, which nothing here may know.
    plan: object = None
    status: int = 500
    own_status: int = 0
    waited_for_caller: bool = False
    type: ClassVar[str] = "api_error"
    code: ClassVar[str] = "internal_error"
    source: ClassVar[Source] = "gateway"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        detail: str = "",
        excerpt: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.detail = detail
        self.excerpt = excerpt
        self.headers = headers

    @property
    def for_operator(self) -> str:
        """The message with its detail, for spans and logs."""
        return f"{self.message} {self.detail}" if self.detail else self.message


class InternalError(GatewayError):
    """A bug of ours; the log has it under the request id."""


class InvalidJson(GatewayError):
    """The body is not JSON, or not UTF-8."""

    status, type, code, source = 400, "invalid_request_error", "invalid_json", "client"


class InvalidBody(GatewayError):
    """The body is JSON of the wrong shape."""

    status, type, code, source = 400, "invalid_request_error", "invalid_body", "client"


class InvalidFraming(GatewayError):
    """A body does not say where it ends, or in a way that a server in front may read otherwise."""

    status, type, code, source = 400, "invalid_request_error", "invalid_framing", "client"


class UnsupportedParameter(GatewayError):
    """The call asks for what its target cannot do, and the operator wants that refused."""

    status, type, code, source = 400, "invalid_request_error", "unsupported_parameter", "client"


class InvalidPath(GatewayError):
    """The path could lead elsewhere than it says: dot segments, escaped slashes, empty segments."""

    status, type, code, source = 400, "invalid_request_error", "invalid_path", "client"


class AccountRequired(GatewayError):
    """Nothing in the call says which provider account it is for, and there are several."""

    status, type, code, source = 400, "invalid_request_error", "account_required", "client"


class InvalidApiKey(GatewayError):
    """No token, or one that is unknown or expired."""

    status, type, code, source = 401, "authentication_error", "invalid_api_key", "client"


class IdentityUnavailable(GatewayError):
    """Nobody can say whose token it is, as the keys of its identity provider were never read."""

    status, type, code, source = 503, "overloaded_error", "identity_unavailable", "gateway"
    retryable = True


class ModelNotAllowed(GatewayError):
    """A known caller without the right to this model."""

    status, type, code, source = 403, "permission_error", "model_not_allowed", "client"


class AccountNotAllowed(GatewayError):
    """A known caller without the right to this provider account as a whole."""

    status, type, code, source = 403, "permission_error", "account_not_allowed", "client"


class AccountNotFound(GatewayError):
    """No provider account of that name is configured."""

    status, type, code, source = 404, "invalid_request_error", "account_not_found", "client"


class ModelNotFound(GatewayError):
    """No model of that name is configured."""

    status, type, code, source = 404, "invalid_request_error", "model_not_found", "client"


class PathNotFound(GatewayError):
    """No endpoint at that path."""

    status, type, code, source = 404, "invalid_request_error", "path_not_found", "client"


class MethodNotAllowed(GatewayError):
    """The path exists, for another method."""

    status, type, code, source = 405, "invalid_request_error", "method_not_allowed", "client"


class BodyTimeout(GatewayError):
    """The caller stopped sending its body."""

    status, type, code, source = 408, "timeout_error", "body_timeout", "client"


class BodyTooLarge(GatewayError):
    """The body is over `--max-body-bytes`."""

    status, type, code, source = 413, "invalid_request_error", "body_too_large", "client"


class RateLimitExceeded(GatewayError):
    """A rate limit of the gateway's own is used up."""

    status, type, code, source = 429, "rate_limit_error", "rate_limit_exceeded", "gateway"
    retryable = True


class BudgetExceeded(GatewayError):
    """A budget is spent; the same call succeeds only when its next window begins.

    Attributes:
        status: As `budget_settings.refusal_status` has it.
    """

    status, type, code, source = 429, "rate_limit_error", "budget_exceeded", "gateway"

    def __init__(self, message: str, *, status: int = 429, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message, headers=headers)
        self.status = status


class UpstreamUnreachable(GatewayError):
    """No connection, or it ended before an answer."""

    status, type, code, source = 502, "upstream_error", "upstream_unreachable", "upstream"
    retryable = True


class UpstreamBadReply(GatewayError):
    """An answer that is none: HTML, empty, a success with an error inside, a stream cut short."""

    status, type, code, source = 502, "upstream_error", "upstream_bad_reply", "upstream"
    retryable = True
    # A `responder.Answer`, which nothing here may know: what the caller is told where nobody else answers.
    answer: object = None


class UpstreamTimeout(GatewayError):
    """The provider was silent for longer than it may be."""

    status, type, code, source = 504, "timeout_error", "upstream_timeout", "upstream"
    retryable = True


class FirstTokenTimeout(GatewayError):
    """The stream had no content within the time that the caller allows (`x-tfy-ttft-timeout-ms`)."""

    status, type, code, source = 408, "timeout_error", "first_token_timeout", "upstream"
    retryable = True


class NoTargetAvailable(GatewayError):
    """No target of the model can be asked now: circuits are open, or none is for this call."""

    status, type, code, source = 503, "overloaded_error", "no_target_available", "gateway"
    retryable = True


class Overloaded(GatewayError):
    """There is more to do than this worker takes on.

    Attributes:
        reason: Which bound was met: `in_flight`, `input_bytes` or `cpu`.
        priority: Of the call.
    """

    status, type, code, source = 503, "overloaded_error", "overloaded", "gateway"
    retryable = True

    def __init__(self, message: str, *, reason: str = "", priority: str = "", retry_after_s: int = 1) -> None:
        super().__init__(message, headers=(("retry-after", str(retry_after_s)),))
        self.reason = reason
        self.priority = priority


class LimitsUnavailable(GatewayError):
    """Nobody can say whether a limit has room, and the configuration has such calls refused."""

    status, type, code, source = 503, "overloaded_error", "limits_unavailable", "gateway"
    retryable = True


class OutOfConnections(GatewayError):
    """This host has no file descriptor or memory left for another connection."""

    status, type, code, source = 503, "overloaded_error", "out_of_connections", "gateway"
    retryable = True


class GatewayShutdown(GatewayError):
    """The gateway ended while the call ran, after the drain timeout."""

    status, type, code, source = 503, "overloaded_error", "gateway_shutdown", "gateway"
    retryable = True


class SecretMissingError(GatewayError):
    """The account's credential could not be resolved when the configuration was loaded."""

    status, type, code, source = 503, "overloaded_error", "secret_missing", "gateway"


class ClientDisconnected(Exception):
    """The caller has gone; nothing can be sent and the upstream call has been stopped."""

    error_type: ClassVar[str] = "client_disconnected"
