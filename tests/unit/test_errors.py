"""Every error a client can see, as INTERFACES.md has them."""

from __future__ import annotations

import pytest

from gateway import errors
from gateway.errors import ClientDisconnected, GatewayError

# class: status, type, code, source, retryable
TABLE = {
    "InvalidJson": (400, "invalid_request_error", "invalid_json", "client", False),
    "InvalidBody": (400, "invalid_request_error", "invalid_body", "client", False),
    "UnsupportedParameter": (
        400,
        "invalid_request_error",
        "unsupported_parameter",
        "client",
        False,
    ),
    "InvalidPath": (400, "invalid_request_error", "invalid_path", "client", False),
    "AccountRequired": (400, "invalid_request_error", "account_required", "client", False),
    "InvalidApiKey": (401, "authentication_error", "invalid_api_key", "client", False),
    "AccountNotAllowed": (403, "permission_error", "account_not_allowed", "client", False),
    "AccountNotFound": (404, "invalid_request_error", "account_not_found", "client", False),
    "ModelNotAllowed": (403, "permission_error", "model_not_allowed", "client", False),
    "ModelNotFound": (404, "invalid_request_error", "model_not_found", "client", False),
    "PathNotFound": (404, "invalid_request_error", "path_not_found", "client", False),
    "MethodNotAllowed": (405, "invalid_request_error", "method_not_allowed", "client", False),
    "RateLimitExceeded": (429, "rate_limit_error", "rate_limit_exceeded", "gateway", True),
    "BudgetExceeded": (429, "rate_limit_error", "budget_exceeded", "gateway", False),
    "BodyTimeout": (408, "timeout_error", "body_timeout", "client", False),
    "InvalidFraming": (400, "invalid_request_error", "invalid_framing", "client", False),
    "BodyTooLarge": (413, "invalid_request_error", "body_too_large", "client", False),
    "InternalError": (500, "api_error", "internal_error", "gateway", False),
    "UpstreamUnreachable": (502, "upstream_error", "upstream_unreachable", "upstream", True),
    "UpstreamBadReply": (502, "upstream_error", "upstream_bad_reply", "upstream", True),
    "IdentityUnavailable": (503, "overloaded_error", "identity_unavailable", "gateway", True),
    "Overloaded": (503, "overloaded_error", "overloaded", "gateway", True),
    "OutOfConnections": (503, "overloaded_error", "out_of_connections", "gateway", True),
    "LimitsUnavailable": (503, "overloaded_error", "limits_unavailable", "gateway", True),
    "GatewayShutdown": (503, "overloaded_error", "gateway_shutdown", "gateway", True),
    "SecretMissingError": (503, "overloaded_error", "secret_missing", "gateway", False),
    "FirstTokenTimeout": (408, "timeout_error", "first_token_timeout", "upstream", True),
    "NoTargetAvailable": (503, "overloaded_error", "no_target_available", "gateway", True),
    "UpstreamTimeout": (504, "timeout_error", "upstream_timeout", "upstream", True),
}


def test_table_has_every_error() -> None:
    """No error of ours is missing from the table."""
    found = {item.__name__ for item in GatewayError.__subclasses__()}
    assert found == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_error_is_as_published(name: str) -> None:
    """Status, type, code and source are the ones that clients rely on."""
    error = getattr(errors, name)("message")
    assert (error.status, error.type, error.code, error.source, error.retryable) == TABLE[name]


def test_codes_are_distinct() -> None:
    """A code, being `error.type` and a metric's label, means one thing."""
    codes = [row[2] for row in TABLE.values()]
    assert len(set(codes)) == len(codes)


def test_overload_says_when_to_come_back() -> None:
    """In whole seconds, as the header wants them."""
    error = errors.Overloaded("Too much.", reason="cpu", priority="low", retry_after_s=2)
    assert error.headers == (("retry-after", "2"),)
    assert (error.reason, error.priority) == ("cpu", "low")


def test_detail_is_for_the_operator() -> None:
    """What is safe to show and what is not are apart."""
    error = errors.UpstreamBadReply("It failed.", detail="host 10.0.0.1")
    assert (str(error), error.message) == ("It failed.", "It failed.")
    assert error.for_operator == "It failed. host 10.0.0.1"
    assert errors.UpstreamBadReply("It failed.").for_operator == "It failed."
    assert errors.UpstreamBadReply("It failed.", excerpt="<html>").for_operator == "It failed."


def test_a_caller_that_left_is_no_error_to_answer() -> None:
    """Nobody is there to read an answer, so it is outside the errors that have one."""
    assert not issubclass(ClientDisconnected, GatewayError)
    assert ClientDisconnected.error_type == "client_disconnected"
    assert errors.CLIENT_CLOSED_REQUEST == 499


def test_frames_are_forgotten() -> None:
    """Those of an error, of what caused it and of what went before, also where they lead back to it."""

    def fail() -> None:
        try:
            int("first")
        except ValueError:
            raise OSError("second") from KeyError("cause")

    with pytest.raises(OSError, match="second") as caught:
        fail()
    kept: BaseException = caught.value
    first = kept.__context__
    assert isinstance(first, ValueError)
    assert None not in (kept.__traceback__, first.__traceback__)
    errors.forget_frames(kept)
    assert kept.__traceback__ is None
    kept.__cause__ = None
    errors.forget_frames(kept)
    assert first.__traceback__ is None
    first.__context__ = kept
    errors.forget_frames(kept)
