"""Stored state stays with the account and the caller that made it: on every worker, after any end of one."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Iterator
from typing import Any, Final

import openai
import pytest
from openai import OpenAI

from tests.e2e.test_processes import worker_of
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.manifests import bearer, openai_account, self_hosted_account, virtual_account, virtual_models
from tests.rig.path_upstream import Asked, PathUpstream
from tests.rig.raw_http import RawConnection, Reply, assert_error
from tests.rig.until import until

OWNER: Final = "canary-stored-owner-0001"
STRANGER: Final = "canary-stored-stranger-0002"
WHOLE: Final = "canary-stored-whole-0003"
VIRTUAL: Final = "canary-stored-virtual-0005"
BOTH: Final = "canary-stored-both-0006"
JSON: Final = ("content-type", "application/json")
NUMBERS: Final = itertools.count()
ACCOUNTS: Final = ("one", "two")
RECOVERY_S: Final = 60.0
ENVIRONMENT: Final = {"FAKE_KEY": "canary-stored-provider-key-0004"}


class Provider:
    """Makes objects, each account its own: ids say which."""

    def __init__(self, server: PathUpstream) -> None:
        self.server = server
        self.down: set[str] = set()
        server.forget()
        for account in ACCOUNTS:
            server.on(f"/{account}/v1/responses", self._response)

    @property
    def last(self) -> str:
        """What was asked last."""
        return self.server.asked[-1].target

    def makes(self, account: str, path: str, **members: Any) -> None:
        """Answer POST and GET of *path* with an object."""

        async def answer(asked: Asked) -> None:
            await asked.read_body()
            await asked.answer(200, json.dumps(members).encode())

        self.server.on(f"/{account}/v1{path}", answer)

    async def _response(self, asked: Asked) -> None:
        await asked.read_body()
        number = next(NUMBERS)
        account = asked.path.split("/")[1]
        if account in self.down:
            await asked.answer(503, b'{"error":{"message":"down","type":"server_error"}}')
            return
        item = {
            "id": f"rs_{account}_{number}", "type": "reasoning", "summary": [],
            "encrypted_content": f"gAAAA-{account}-{number}/=",
        }  # fmt: skip
        response = {
            "id": f"resp_{account}_{number}", "object": "response", "created_at": 1, "status": "completed",
            "model": "small", "output": [item], "parallel_tool_calls": True, "tool_choice": "auto",
            "tools": [],
            "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2,
                      "input_tokens_details": {"cached_tokens": 0},
                      "output_tokens_details": {"reasoning_tokens": 0}},
        }  # fmt: skip
        if not asked.json.get("stream"):
            await asked.answer(200, json.dumps(response).encode())
            return
        created = {"type": "response.created", "sequence_number": 0, "response": response | {"output": []}}
        done = {"type": "response.output_item.done", "sequence_number": 1, "output_index": 0, "item": item}
        completed = {"type": "response.completed", "sequence_number": 2, "response": response}
        events = [created, done, completed]
        data = "".join([f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events])
        await asked.answer(200, data.encode(), "text/event-stream")


@pytest.fixture(scope="module")
def server() -> Iterator[PathUpstream]:
    with PathUpstream() as server:
        yield server


@pytest.fixture
def provider(server: PathUpstream) -> Provider:
    return Provider(server)


@pytest.fixture(scope="module")
def gateway(server: PathUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    documents = [
        *(
            openai_account(name, server.base_url.replace("/v1", f"/{name}/v1"), ["small"])
            for name in ACCOUNTS
        ),
        self_hosted_account("lab", server.base_url.replace("/v1", "/lab/v1"), ["own"]),
        virtual_account("owner", [OWNER], ["one/small", "two/small", "lab/own"]),
        virtual_account("stranger", [STRANGER], ["one/small", "two/small"]),
        virtual_account("whole", [WHOLE], ["one/*", "two/*"]),
        virtual_models("vm", {"even": evenly("one", "two"), "second": evenly("two")}),
        virtual_account("virtual", [VIRTUAL], ["vm/*"]),
        virtual_account("both", [BOTH], ["vm/*", "one/*", "two/*"]),
    ]
    folder = tmp_path_factory.mktemp("stored")
    with GatewayProcess(folder, documents, workers=2, environment=ENVIRONMENT) as process:
        yield process


def evenly(*accounts: str) -> Document:
    """A `routing_config` of the small models of some accounts, with equal weights."""
    each = {"weight": 100 // len(accounts), "retry_config": {"attempts": 1, "delay": 1}}
    targets = [{"target": f"{account}/small", **each} for account in accounts]
    return {"type": "weight-based-routing", "load_balance_targets": targets}


def sdk(gateway: GatewayProcess, token: str = OWNER) -> OpenAI:
    """A client with a connection of its own."""
    return OpenAI(base_url=gateway.base_url, api_key=token, max_retries=0, timeout=60)


def ask(gateway: GatewayProcess, method: str, path: str, *, token: str = OWNER, **body: Any) -> Reply:
    """A call on a connection of its own, without a word of any account."""
    with gateway.connect() as connection:
        data = json.dumps(body).encode() if body else None
        return connection.exchange(method, path, [bearer(token), JSON], data)


def one_of_each(gateway: GatewayProcess) -> dict[int, RawConnection]:
    """A connection to each worker."""
    found: dict[int, RawConnection] = {}
    until(lambda: len(gateway.worker_pids()) == 2, what="two workers", timeout_s=RECOVERY_S)
    workers = set(gateway.worker_pids())

    def is_complete() -> bool:
        connection = gateway.connect()
        # Asked first: a connection has no worker before it is accepted.
        connection.exchange("GET", "/livez")
        worker = worker_of(gateway, connection)
        if worker in found:
            connection.socket.close()
        else:
            found[worker] = connection
        return workers <= found.keys()

    until(is_complete, what="a connection to each worker", timeout_s=RECOVERY_S)
    return found


def make(gateway: GatewayProcess, account: str, *, is_stream: bool = False, token: str = OWNER) -> str:
    """The id of a new response."""
    with sdk(gateway, token) as client:
        if not is_stream:
            return client.responses.create(model=f"{account}/small", input="x").id
        with client.responses.create(model=f"{account}/small", input="x", stream=True) as stream:
            (*_, last) = list(stream)
        assert last.type == "response.completed"
        return last.response.id


def check_found(gateway: GatewayProcess, provider: Provider, *object_ids: str) -> None:
    """Each worker sends each fetch to the account that made it."""
    connections = one_of_each(gateway)
    for object_id in object_ids:
        account = object_id.split("_")[1]
        for connection in connections.values():
            reply = connection.exchange("GET", f"/v1/responses/{object_id}", [bearer(OWNER)])
            assert (reply.status, reply.header("x-tfy-resolved-model")) == (200, f"{account}/small")
            assert provider.last == f"/{account}/v1/responses/{object_id}"
    for connection in connections.values():
        connection.socket.close()


@pytest.mark.long
def test_sticks_across_workers_kills_and_restarts(gateway: GatewayProcess, provider: Provider) -> None:
    """What the SDK made is fetched, cancelled and deleted where it is, whichever worker is asked."""
    made = [
        make(gateway, account, is_stream=is_stream) for account in ACCOUNTS for is_stream in (False, True)
    ]
    check_found(gateway, provider, *made)
    for number in range(6):
        object_id = made[number % len(made)]
        below = f"/{object_id.split('_')[1]}/v1/responses/{object_id}"
        with sdk(gateway) as client:
            client.responses.retrieve(object_id)
            assert provider.last == below
            client.responses.input_items.list(object_id)
            assert provider.last == f"{below}/input_items"
            client.responses.cancel(object_id)
            assert provider.last == f"{below}/cancel"
            client.responses.delete(object_id)
            assert provider.last == below
    victim = gateway.worker_pids()[0]
    gateway.signal(signal.SIGKILL, victim)
    until(
        lambda: len(gateway.worker_pids()) == 2 and victim not in gateway.worker_pids(),
        timeout_s=RECOVERY_S,
        what="the killed worker's successor",
    )
    check_found(gateway, provider, *made)
    gateway.stop()
    gateway.start()
    check_found(gateway, provider, *made)


def test_belongs_to_its_caller(gateway: GatewayProcess, provider: Provider) -> None:
    """Neither naming the account nor writing the id otherwise gives another caller what is not its own."""
    object_id = make(gateway, "one")
    count = len(provider.server.asked)
    for method, path in (
        ("GET", f"/v1/responses/{object_id}"),
        ("DELETE", f"/v1/responses/{object_id}"),
        ("POST", f"/v1/responses/{object_id}/cancel"),
        ("GET", f"/v1/responses/{object_id}/input_items"),
        ("GET", f"/v1/responses/{object_id}?tfyProviderName=one"),
        ("GET", f"/v1/responses/{object_id}?tfyProviderName=two"),
        ("GET", f"/v1/responses/{object_id.replace('_', '%5F')}?tfyModelName=one/small"),
        # As it is to a server that decodes once more, or takes what follows a semicolon for parameters.
        ("GET", f"/v1/responses/{object_id.replace('_', '%255F')}?tfyProviderName=one"),
        ("DELETE", f"/v1/responses/{object_id};v=1?tfyProviderName=one"),
        ("GET", f"/v1/responses/{object_id}%3Bv=1/input_items?tfyProviderName=one"),
        ("POST", f"/v1/responses/{object_id}%20/cancel?tfyProviderName=one"),
    ):
        reply = ask(gateway, method, path, token=STRANGER)
        assert_error(reply, 403, "permission_error", "account_not_allowed", "client")
    assert len(provider.server.asked) == count
    assert ask(gateway, "GET", f"/v1/responses/{object_id}", token=WHOLE).status == 200
    provider.makes("one", f"/responses/{object_id}/cancel", id=object_id, object="response")
    assert ask(gateway, "POST", f"/v1/responses/{object_id}/cancel", token=WHOLE).status == 200
    assert ask(gateway, "GET", f"/v1/responses/{object_id}").status == 200


def test_going_on(gateway: GatewayProcess, provider: Provider) -> None:
    """A conversation goes on with its own account and caller; else the error says what to do."""
    before = make(gateway, "one")
    with sdk(gateway) as client:
        after = client.responses.create(model="one/small", input="x", previous_response_id=before)
        assert provider.server.asked[-1].json["previous_response_id"] == before
        assert after.id.startswith("resp_one_")
        with pytest.raises(openai.BadRequestError, match="made through the account one") as caught:
            client.responses.create(model="two/small", input="x", previous_response_id=before)
        assert caught.value.param == "previous_response_id"
    with sdk(gateway, STRANGER) as client, pytest.raises(openai.PermissionDeniedError):
        client.responses.create(model="one/small", input="x", previous_response_id=before)


def test_what_is_not_kept_is_not_noted(gateway: GatewayProcess, provider: Provider) -> None:
    """A response that was to be forgotten has no account to go back to."""
    with sdk(gateway) as client:
        object_id = client.responses.create(model="one/small", input="x", store=False).id
    reply = ask(gateway, "GET", f"/v1/responses/{object_id}")
    assert_error(reply, 400, "invalid_request_error", "account_required", "client")
    assert provider.last == "/one/v1/responses"


def test_stored_chat(gateway: GatewayProcess, provider: Provider) -> None:
    """A chat that is to be kept is found again; one that is not leaves nothing."""
    for store, status in ((True, 200), (False, 400)):
        name = f"chatcmpl-{store}"
        choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
        provider.makes("two", "/chat/completions", id=name, object="chat.completion", choices=[choice])
        messages = [{"role": "user", "content": "x"}]
        made = ask(
            gateway,
            "POST",
            "/v1/chat/completions",
            model="two/small",
            messages=messages,
            store=store,
            token=WHOLE,
        )
        assert made.status == 200
        assert ask(gateway, "GET", f"/v1/chat/completions/{name}", token=WHOLE).status == status
    assert provider.last == "/two/v1/chat/completions"


def test_batch_from_file_to_results(gateway: GatewayProcess, provider: Provider) -> None:
    """The SDK names the account once, for the file; the batch and its results are where that is."""
    provider.makes("two", "/files", id="file-in", object="file")
    batch = {"id": "batch_b", "object": "batch", "status": "in_progress", "output_file_id": None}
    provider.makes("two", "/batches", **batch)
    provider.makes(
        "two", "/batches/batch_b", **batch | {"output_file_id": "file-out", "error_file_id": "file-err"}
    )
    with sdk(gateway, WHOLE) as client:
        client.files.create(
            file=("x.jsonl", b"{}"), purpose="batch", extra_headers={"x-tfy-provider-name": "two"}
        )
    for _ in range(4):
        with sdk(gateway, WHOLE) as client:
            client.batches.create(input_file_id="file-in", endpoint="/v1/responses", completion_window="24h")
            assert provider.last == "/two/v1/batches"
            assert client.batches.retrieve("batch_b").output_file_id == "file-out"
            for name in ("file-out", "file-err"):
                client.files.content(name)
                assert provider.last == f"/two/v1/files/{name}/content"


@pytest.mark.parametrize(
    ("path", "object_id", "below"),
    [
        ("/uploads", "upload_1", "/parts"),
        ("/fine_tuning/jobs", "ftjob-1", "/events"),
        ("/vector_stores", "vs_1", "/files"),
        ("/containers", "cntr_1", "/files"),
        ("/conversations", "conv_1", "/items"),
        ("/evals", "eval_1", "/runs"),
        ("/threads", "thread_1", "/messages"),
    ],
)
def test_every_kind(
    gateway: GatewayProcess, provider: Provider, path: str, object_id: str, below: str
) -> None:
    """Whatever a reply names, its account is known when it is asked for, by whoever has the right to it."""
    provider.makes("one", path, id=object_id)
    made = ask(gateway, "POST", f"/v1{path}?tfyProviderName=one", token=WHOLE, x=1)
    assert made.status == 200
    for _ in range(4):
        assert ask(gateway, "GET", f"/v1{path}/{object_id}{below}", token=WHOLE).status == 200
        assert provider.last == f"/one/v1{path}/{object_id}{below}"
    reply = ask(gateway, "GET", f"/v1{path}/{object_id}", token=OWNER)
    assert_error(reply, 403, "permission_error", "account_not_allowed", "client")


def test_upload_gives_its_file(gateway: GatewayProcess, provider: Provider) -> None:
    """The file that a completed upload becomes is found as well."""
    provider.makes("two", "/uploads/upload_2/complete", id="upload_2", file={"id": "file-of-upload"})
    assert (
        ask(
            gateway, "POST", "/v1/uploads/upload_2/complete?tfyProviderName=two", token=WHOLE, part_ids=[]
        ).status
        == 200
    )
    assert ask(gateway, "GET", "/v1/files/file-of-upload", token=WHOLE).status == 200
    assert provider.last == "/two/v1/files/file-of-upload"


def going_on(response: dict[str, Any]) -> list[dict[str, Any]]:
    """Every way in which a call can go on from a response."""
    (item,) = response["output"]
    user = {"role": "user", "content": "x"}
    return [
        {"previous_response_id": response["id"]},
        {"input": [{"type": "item_reference", "id": item["id"]}, user]},
        {"input": [user, item, user]},
        {"input": [user, {"type": "compaction", "encrypted_content": item["encrypted_content"]}, user]},
    ]


def begin(gateway: GatewayProcess, *, is_stream: bool = False, **members: Any) -> dict[str, Any]:
    """A new response of the virtual model."""
    reply = ask(
        gateway,
        "POST",
        "/v1/responses",
        token=VIRTUAL,
        **{"model": "vm/even", "input": "x", "stream": is_stream, **members},
    )
    assert reply.status == 200, reply.body
    if not is_stream:
        return dict(json.loads(reply.body))
    (*_, last) = [json.loads(line[6:]) for line in reply.body.decode().splitlines() if line[:6] == "data: "]
    return dict(last["response"])


def check_goes_on(gateway: GatewayProcess, provider: Provider, *begun: dict[str, Any]) -> None:
    """Each worker lets each response go on at the account that made it, in every way."""
    connections = one_of_each(gateway)
    for response in begun:
        account = response["id"].split("_")[1]
        for connection in connections.values():
            for members in going_on(response):
                body = json.dumps({"model": "vm/even", "input": "x", **members}).encode()
                reply = connection.exchange("POST", "/v1/responses", [bearer(VIRTUAL), JSON], body)
                assert (reply.status, reply.header("x-tfy-resolved-model")) == (200, f"{account}/small")
                assert provider.last == f"/{account}/v1/responses"
            reply = connection.exchange("GET", f"/v1/responses/{response['id']}", [bearer(VIRTUAL)])
            assert (reply.status, provider.last) == (200, f"/{account}/v1/responses/{response['id']}")
    for connection in connections.values():
        connection.socket.close()


def test_virtual_model_goes_on_where_it_began(gateway: GatewayProcess, provider: Provider) -> None:
    """By response, item or encrypted reasoning, on every worker, after a kill and after a restart."""
    begun: dict[str, dict[str, Any]] = {}
    for is_stream in (False, True):

        def has_both(*, is_stream: bool = is_stream) -> bool:
            response = begin(gateway, is_stream=is_stream)
            begun[f"{is_stream} {response['id'].split('_')[1]}"] = response
            return f"{is_stream} one" in begun and f"{is_stream} two" in begun

        until(has_both, what="a response of each account")
    check_goes_on(gateway, provider, *begun.values())
    victim = gateway.worker_pids()[0]
    gateway.signal(signal.SIGKILL, victim)
    until(
        lambda: len(gateway.worker_pids()) == 2 and victim not in gateway.worker_pids(),
        timeout_s=RECOVERY_S,
        what="the killed worker's successor",
    )
    check_goes_on(gateway, provider, *begun.values())
    gateway.stop()
    gateway.start()
    check_goes_on(gateway, provider, *begun.values())


def test_going_on_never_falls_back(gateway: GatewayProcess, provider: Provider) -> None:
    """While the account that has the state is down, the caller gets its error; a new call is answered."""
    response = begin(gateway)
    account = response["id"].split("_")[1]
    other = next(name for name in ACCOUNTS if name != account)
    provider.down.add(account)
    for members in going_on(response):
        count = len(provider.server.asked)
        reply = ask(
            gateway, "POST", "/v1/responses", token=VIRTUAL, **{"model": "vm/even", "input": "x", **members}
        )
        assert reply.status == 503
        assert {asked.path for asked in provider.server.asked[count:]} <= {f"/{account}/v1/responses"}
    assert begin(gateway)["id"].split("_")[1] == other


def test_going_on_without_the_account(gateway: GatewayProcess, provider: Provider) -> None:
    """A virtual model without the account that has the state says so, and asks nobody."""
    response = begin(gateway, model="vm/even")
    while response["id"].split("_")[1] != "one":
        response = begin(gateway)
    count = len(provider.server.asked)
    for members in going_on(response):
        reply = ask(
            gateway, "POST", "/v1/responses", token=VIRTUAL, **{"model": "vm/second", "input": "x", **members}
        )
        assert_error(reply, 400, "invalid_request_error", "invalid_body", "client")
        assert "account one" in json.loads(reply.body)["error"]["message"]
    assert len(provider.server.asked) == count


def test_unknown_state_stays_in_one_account(gateway: GatewayProcess, provider: Provider) -> None:
    """Nobody knows where it is, but it is not in two places: one account is asked, its answer given."""
    provider.down.update(ACCOUNTS)
    count = len(provider.server.asked)
    reply = ask(
        gateway,
        "POST",
        "/v1/responses",
        token=VIRTUAL,
        model="vm/even",
        input="x",
        previous_response_id="resp_x",
    )
    assert reply.status == 503
    assert len({asked.path for asked in provider.server.asked[count:]}) == 1


def test_files_by_a_virtual_models_name(gateway: GatewayProcess, provider: Provider) -> None:
    """They are of one account: what is known by its id is found, the rest has to say which."""
    provider.makes("two", "/files", id="file-known", object="file")
    provider.makes("two", "/batches", id="batch_known", object="batch")
    made = ask(gateway, "POST", "/v1/files?tfyProviderName=two", token=WHOLE, purpose="batch")
    assert made.status == 200
    connection = gateway.connect()
    named = ("x-tfy-model-name", "vm/even")
    for token, status in ((WHOLE, 403), (VIRTUAL, 400)):
        body = json.dumps({"purpose": "batch"}).encode()
        reply = connection.exchange("POST", "/v1/files", [bearer(token), JSON, named], body)
        assert reply.status == status
    body = json.dumps({"input_file_id": "file-known", "endpoint": "/v1/responses"}).encode()
    reply = connection.exchange("POST", "/v1/batches", [bearer(BOTH), JSON, named], body)
    assert (reply.status, provider.last) == (200, "/two/v1/batches")
    connection.socket.close()
