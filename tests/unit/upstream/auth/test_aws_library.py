"""Signatures that AWS takes, and credentials from where botocore finds them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamUnreachable
from gateway.model import AwsSigning
from gateway.upstream.auth.aws_credentials import Credentials
from gateway.upstream.auth.aws_library import CredentialSource, signature
from tests.rig.aws_signatures import Keys, SignatureError, verify
from tests.rig.path_upstream import Asked, PathUpstream

# https://github.com/awslabs/aws-c-auth/tree/main/tests/aws-signing-test-suite/v4 : the request, what it is
# signed over beside host and date, and the signature.
EXAMPLE = Keys({"AKIDEXAMPLE": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}, {})
EXAMPLE_TOKEN = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"
EXAMPLE_TIME = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
VECTORS = {
    "utf8": ("GET", "/ሴ", [], b"", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
    "space": (
        "GET",
        "/example space/",
        [],
        b"",
        "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
    ),
    "query order": (
        "GET",
        "/?Param2=value2&Param1=value1",
        [],
        b"",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "header trim": (
        "GET",
        "/",
        [("my-header1", "value1"), ("my-header2", '"a   b   c"')],
        b"",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "header twice": (
        "GET",
        "/",
        [("my-header1", "value2"), ("my-header1", "value2"), ("my-header1", "value1")],
        b"",
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    "session token": (
        "GET",
        "/",
        [("x-amz-security-token", EXAMPLE_TOKEN)],
        b"",
        "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
    ),
    "form": (
        "POST",
        "/",
        [
            ("content-length", "13"),
            ("content-type", "application/x-www-form-urlencoded"),
            (
                "x-amz-content-sha256",
                "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
            ),
        ],
        b"Param1=value1",
        "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
    ),
}
HOST = "bedrock-runtime.us-east-1.amazonaws.com"
KEYS = Keys({"AKID": "canary-secret"}, {"AKID": "canary-session"})
CREDENTIALS = Credentials("AKID", "canary-secret", "canary-session")
SIGNING = AwsSigning("bedrock", "us-east-1")
PATHS = st.sampled_from(
    (
        "/model/anthropic.claude-3-5-sonnet-20240620-v1%3A0/converse",
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.x-v1%3A0/invoke",
        "/endpoints/my-endpoint/invocations",
        "/async-invoke",
    )
)
QUERIES = st.lists(
    st.sampled_from(("maxResults=3", "a=b%2Fc", "statusEquals=Completed", "b=", "a=a")), max_size=3
)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20).map(str.strip)


@pytest.mark.parametrize("name", VECTORS)
def test_the_verifier_takes_what_aws_published(name: str) -> None:
    """It is the judge of all else here, so it is judged first; another signature it refuses."""
    method, target, more, body, signed = VECTORS[name]
    names = sorted({"host", "x-amz-date", *(key for key, _ in more)})
    authorization = (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={';'.join(names)}, Signature="
    )
    token = {"AKIDEXAMPLE": EXAMPLE_TOKEN} if name == "session token" else {}
    keys = Keys(EXAMPLE.secrets, token)
    headers = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z"), *more]
    good = [*headers, ("authorization", authorization + signed)]
    assert verify(method, target, good, body, keys, now=EXAMPLE_TIME).service == "service"
    bad = [*headers, ("authorization", authorization + signed[::-1])]
    with pytest.raises(SignatureError):
        verify(method, target, bad, body, keys, now=EXAMPLE_TIME)


@given(PATHS, QUERIES, VALUES, st.binary(max_size=300))
def test_what_is_signed_is_what_is_sent(path: str, query: list[str], value: str, body: bytes) -> None:
    """Ids with colons, ARNs with slashes, queries, headers, bodies: AWS works out the same signature."""
    target = "?".join(filter(None, (path, "&".join(query))))
    signed = {"content-type": "application/json", "x-amzn-bedrock-trace": value}
    made = signature(SIGNING, CREDENTIALS, "POST", f"https://{HOST}{target}", signed, body)
    headers = [("host", HOST), *signed.items(), *made, ("user-agent", "unsigned")]
    scope = verify("POST", target, headers, body, KEYS)
    assert (scope.access_key_id, scope.region, scope.service) == ("AKID", "us-east-1", "bedrock")
    with pytest.raises(SignatureError):
        verify("POST", target, headers, body + b"x", KEYS)


def test_a_host_with_a_port_is_signed_as_it_is_sent() -> None:
    """The port is in `Host` where it is not the scheme's own."""
    for url, host in (("http://127.0.0.1:8080/x", "127.0.0.1:8080"), ("https://a.test:443/x", "a.test")):
        made = signature(SIGNING, CREDENTIALS, "POST", url, {}, b"")
        assert verify("POST", "/x", [("host", host), *made], b"", KEYS).signed_headers[0] == "host"


def test_a_clock_that_is_wrong_is_refused() -> None:
    """As AWS does beyond five minutes."""
    made = signature(SIGNING, CREDENTIALS, "GET", f"https://{HOST}/x", {}, b"")
    headers = [("host", HOST), *made]
    with pytest.raises(SignatureError, match="expired"):
        verify("GET", "/x", headers, b"", KEYS, now=datetime.now(UTC) + timedelta(minutes=10))


def test_as_boto3_signs() -> None:
    """The verifier takes what Amazon's own client sends, so it asks for no more than AWS does."""
    with PathUpstream() as service:
        client = Session().create_client(
            "bedrock-runtime",
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{service.port}",
            aws_access_key_id="AKID",
            aws_secret_access_key="canary-secret",
            aws_session_token="canary-session",
        )
        client.converse(
            modelId="arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x-v1:0", messages=[]
        )
        client.close()
        [asked] = service.asked
    scope = verify(asked.method, asked.target, asked.headers, asked.body, KEYS)
    assert (scope.service, asked.path) == (
        "bedrock",
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.x-v1%3A0/converse",
    )


@pytest.fixture
def bare_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A host where botocore finds nothing, and looks at no machine's metadata."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


def test_written_credentials(bare_host: Path) -> None:
    """They are as they are, for ever."""
    signing = AwsSigning("bedrock", "us-east-1", "AKID", "canary-secret", "canary-session")
    found = CredentialSource().fetch(signing)
    assert found.credentials == CREDENTIALS
    assert found.life_s == float("inf")
    assert "canary" not in repr(found)
    assert "canary" not in repr(signing)


def test_credentials_of_the_host(bare_host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, and before them the environment, in botocore's order; looked at again from time to time."""
    (bare_host / "credentials").write_text("[default]\naws_access_key_id = F\naws_secret_access_key = f\n")
    assert CredentialSource().fetch(SIGNING).credentials == Credentials("F", "f", None)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "E")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "e")
    found = CredentialSource().fetch(SIGNING)
    assert found.credentials == Credentials("E", "e", None)
    assert 0 < found.renew_after_s < found.life_s < float("inf")


def test_no_credentials(bare_host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says where was looked; a profile that does not exist is told too."""
    with pytest.raises(UpstreamUnreachable) as caught:
        CredentialSource().fetch(SIGNING)
    assert "no credentials of AWS" in caught.value.detail
    monkeypatch.setenv("AWS_PROFILE", "absent")
    with pytest.raises(UpstreamUnreachable) as caught:
        CredentialSource().fetch(SIGNING)
    assert "absent" in caught.value.detail
    assert bare_host.is_dir()


@pytest.mark.parametrize(
    ("name", "written"),
    [
        pytest.param(
            "web", "role_arn = arn:aws:iam::1:role/r\nweb_identity_token_file = {absent}", id="token"
        ),
        pytest.param("process", "credential_process = {absent}", id="program"),
        pytest.param("list", "credential_process = echo []", id="answer"),
    ],
)
def test_a_host_that_is_set_up_wrong(
    bare_host: Path, monkeypatch: pytest.MonkeyPatch, name: str, written: str
) -> None:
    """A file or a program that is not there is the operator's to mend, and no error of ours."""
    config = written.format(absent=bare_host / "absent")
    (bare_host / "config").write_text(f"[profile {name}]\nregion = us-east-1\n{config}\n")
    monkeypatch.setenv("AWS_PROFILE", name)
    with pytest.raises(UpstreamUnreachable) as caught:
        CredentialSource().fetch(SIGNING)
    assert caught.value.detail


GIVEN = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role-token</SessionToken>
<Expiration>2030-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
REFUSED = """<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>
<Message>User: arn:aws:iam::1:user/u is not authorized</Message></Error></ErrorResponse>"""


@pytest.fixture
def sts() -> Iterator[PathUpstream]:
    with PathUpstream() as service:
        yield service


@pytest.fixture
def role(bare_host: Path, monkeypatch: pytest.MonkeyPatch, sts: PathUpstream) -> AwsSigning:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "E")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "e")
    return AwsSigning(
        "bedrock",
        "eu-west-1",
        role_arn="arn:aws:iam::123456789012:role/gateway",
        external_id="canary-external",
        sts_url=f"http://127.0.0.1:{sts.port}",
    )


def test_a_role(role: AwsSigning, sts: PathUpstream) -> None:
    """Taken on with the host's credentials, signed for the region's token service, renewed before it ends."""

    async def give(asked: Asked) -> None:
        await asked.read_body()
        await asked.answer(200, GIVEN.encode(), "text/xml")

    sts.on("/", give)
    found = CredentialSource().fetch(role)
    assert found.credentials == Credentials("ASIA", "role-secret", "role-token")
    assert 0 < found.renew_after_s < found.life_s < 3600
    [asked] = sts.asked
    scope = verify(asked.method, asked.target, asked.headers, asked.body, Keys({"E": "e"}, {}))
    assert (scope.service, scope.region) == ("sts", "eu-west-1")
    form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
    assert (form["RoleArn"], form["ExternalId"]) == (role.role_arn, "canary-external")
    assert "canary" not in repr(role)


def test_a_role_where_the_environment_says(
    role: AwsSigning, sts: PathUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`AWS_ENDPOINT_URL_STS` moves the token service, as for every program that uses botocore."""

    async def give(asked: Asked) -> None:
        await asked.read_body()
        await asked.answer(200, GIVEN.encode(), "text/xml")

    sts.on("/", give)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", role.sts_url)
    moved = AwsSigning("bedrock", "eu-west-1", role_arn=role.role_arn)
    assert CredentialSource().fetch(moved).credentials.access_key == "ASIA"
    assert b"ExternalId" not in sts.asked[0].body


def test_a_role_that_is_refused(role: AwsSigning, sts: PathUpstream) -> None:
    """AWS's reason is for the operator."""

    async def refuse(asked: Asked) -> None:
        await asked.read_body()
        await asked.answer(403, REFUSED.encode(), "text/xml")

    sts.on("/", refuse)
    with pytest.raises(UpstreamUnreachable) as caught:
        CredentialSource().fetch(role)
    assert "is not authorized" in caught.value.detail
    assert "arn:aws" not in caught.value.message


def test_the_library_writes_no_credentials() -> None:
    """At DEBUG it would write down whole requests and answers."""
    assert not logging.getLogger("botocore.auth").isEnabledFor(logging.DEBUG)
    assert not logging.getLogger("botocore.parsers").isEnabledFor(logging.DEBUG)
