"""A changed configuration is in force everywhere soon and loses no call; a wrong one changes nothing."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from tests.rig import behaviours
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.load import Load
from tests.rig.manifests import (
    APP_TOKEN,
    SCRIPTED,
    bearer,
    chat,
    chat_body,
    openai_account,
    standard_documents,
    virtual_account,
)
from tests.rig.raw_http import request_bytes
from tests.rig.until import until

NEW_TOKEN = "canary-new-token-0010"
# Far above the two seconds that are promised, so that a busy machine does not fail the test.
IN_FORCE_S = 60.0


def with_new_account(upstream: FakeUpstream) -> list[dict[str, Any]]:
    """The standard configuration and one caller more."""
    return [*standard_documents(upstream.base_url, 1), virtual_account("new", [NEW_TOKEN], ["fake/normal"])]


def all_on(gateway: GatewayProcess, version: str, workers: int = 2) -> bool:
    """Whether every worker says it runs *version*."""
    found = [worker["version"] for worker in gateway.get("/api/config")["workers"]]
    return len(found) == workers and set(found) == {version}


def statuses(gateway: GatewayProcess, token: str, count: int = 16) -> set[int]:
    """Answers to *token* over fresh connections, enough to meet every worker."""
    return {chat(gateway, "fake/normal", token=token).status for _ in range(count)}


def test_new_account_works_under_load(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """A caller that was unknown is known on every worker; no call that runs meanwhile fails."""
    gateway = start_gateway(standard_documents(upstream.base_url, 1))
    before = gateway.get("/api/config")["version"]
    until(lambda: all_on(gateway, before), what="both workers to report their version")
    assert statuses(gateway, NEW_TOKEN) == {401}
    with Load(gateway) as load:
        until(lambda: len(load.trace_ids) > 20, what="the load to run")
        gateway.write_config(with_new_account(upstream))
        until(
            lambda: gateway.get("/api/config")["version"] != before,
            timeout_s=IN_FORCE_S,
            what="control to take the new configuration",
        )
        after = gateway.get("/api/config")["version"]
        until(lambda: all_on(gateway, after), timeout_s=IN_FORCE_S, what="both workers to run it")
        assert statuses(gateway, NEW_TOKEN) == {200}
        done = len(load.trace_ids)
        until(lambda: len(load.trace_ids) > done + 20, what="the load to go on")
    assert load.failures == []

    gateway.write_config(standard_documents(upstream.base_url, 1))
    until(lambda: all_on(gateway, before), timeout_s=IN_FORCE_S, what="the first version again")
    assert statuses(gateway, NEW_TOKEN) == {401}


def test_a_change_that_is_taken_back_at_once(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """A worker that hears of both in one moment runs the last, not the one that it had begun to load."""
    first = standard_documents(upstream.base_url, 1)
    gateway = start_gateway(first, workers=1)
    before = gateway.get("/api/config")["version"]
    until(lambda: all_on(gateway, before, 1), what="the worker to report its version")
    (pid,) = gateway.worker_pids()
    os.kill(pid, signal.SIGSTOP)
    try:
        gateway.write_config(with_new_account(upstream))
        until(
            lambda: gateway.get("/api/config")["version"] != before, timeout_s=IN_FORCE_S, what="the change"
        )
        gateway.write_config(first)
        until(
            lambda: gateway.get("/api/config")["version"] == before, timeout_s=IN_FORCE_S, what="the way back"
        )
    finally:
        os.kill(pid, signal.SIGCONT)
    assert chat(gateway, "fake/normal").status == 200
    for _ in range(20):
        assert chat(gateway, "fake/normal", token=NEW_TOKEN).status == 401
        time.sleep(0.05)
    assert all_on(gateway, before, 1)


def test_new_file_and_removed_file_count(start_gateway: StartGateway) -> None:
    """The configuration is the folder: files that come and go change it."""
    gateway = start_gateway(workers=1)
    gateway.write_config([virtual_account("new", [NEW_TOKEN], ["fake/normal"])], name="more.yaml")
    until(
        lambda: statuses(gateway, NEW_TOKEN, 1) == {200}, timeout_s=IN_FORCE_S, what="the new file in force"
    )
    (gateway.config / "more.yaml").unlink()
    until(lambda: statuses(gateway, NEW_TOKEN, 1) == {401}, timeout_s=IN_FORCE_S, what="its removal in force")


def test_invalid_change_is_refused_whole(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """One mistake anywhere: nothing is taken, everything is reported, the old version serves on."""
    gateway = start_gateway()
    before = gateway.get("/api/config")
    assert before["last_rejected"] is None
    wrong = with_new_account(upstream)
    wrong.append({"type": "no-such-type", "name": "x"})
    wrong[0]["integrations"] = "not a list"
    gateway.write_config(wrong)
    until(lambda: gateway.get("/api/config")["last_rejected"], timeout_s=IN_FORCE_S, what="the refusal")
    shown = gateway.get("/api/config")
    assert shown["version"] == before["version"]
    text = str(shown["last_rejected"]["errors"])
    assert "no-such-type" in text
    assert "integrations" in text
    assert "gateway.yaml" in text
    assert statuses(gateway, NEW_TOKEN) == {401}
    assert statuses(gateway, APP_TOKEN) == {200}

    gateway.write_config(with_new_account(upstream))
    until(
        lambda: statuses(gateway, NEW_TOKEN, 8) == {200},
        timeout_s=IN_FORCE_S,
        what="the mended change in force",
    )
    # Workers may run it before control has noted that they are to.
    until(lambda: gateway.get("/api/config")["last_rejected"] is None, what="the refusal to be forgotten")


def test_yaml_that_cannot_be_read_is_refused(start_gateway: StartGateway) -> None:
    """Half-written YAML is a refusal, not an end."""
    gateway = start_gateway(workers=1)
    (gateway.config / "gateway.yaml").write_text("type: [unclosed\n")
    until(lambda: gateway.get("/api/config")["last_rejected"], timeout_s=IN_FORCE_S, what="the refusal")
    assert statuses(gateway, APP_TOKEN, 4) == {200}


def test_call_ends_on_the_version_it_began_with(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """A stream whose caller is removed meanwhile goes on to its end."""
    leaving = virtual_account("leaving", ["canary-leaving-token"], ["fake/*"])
    gateway = start_gateway([*with_new_account(upstream), leaving], workers=1)
    gate = upstream.gate()
    upstream.play(SCRIPTED, behaviours.stream(gate=gate))
    with gateway.connect() as connection:
        connection.send(
            request_bytes(
                "POST",
                "/v1/chat/completions",
                [bearer("canary-leaving-token"), ("content-type", "application/json")],
                chat_body("fake/scripted", stream=True),
            )
        )
        gate.step(2)
        assert connection.read_head().status == 200
        gateway.write_config(with_new_account(upstream))
        until(
            lambda: statuses(gateway, "canary-leaving-token", 1) == {401},
            timeout_s=IN_FORCE_S,
            what="the caller to be gone",
        )
        gate.open()
        assert b"".join(connection.read_pieces()).endswith(b"data: [DONE]\n\n")


def test_version_names_content(gateway: GatewayProcess, start_gateway: StartGateway) -> None:
    """The same configuration has the same version, wherever it lies and whenever it is read."""
    another = start_gateway(workers=1)
    assert gateway.get("/api/config")["version"] == another.get("/api/config")["version"]


def test_what_is_not_built_is_reported(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """A known type without effect loads, and is said to have none."""
    documents = [
        *standard_documents(upstream.base_url, 1),
        {"type": "gateway-guardrails-config", "name": "rails", "rules": []},
    ]
    gateway = start_gateway(documents, workers=1)
    assert "gateway-guardrails-config" in str(gateway.get("/api/config")["not_in_force"])
    assert statuses(gateway, APP_TOKEN, 3) == {200}


def test_addresses_that_are_not_called_any_more(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """A rule on addresses holds for new connections after a change, in workers as in control, and is told."""
    # By name, as what is written as an address would refuse the configuration.
    url = upstream.base_url.replace("127.0.0.1", "localhost")
    documents = [openai_account("fake", url, ["normal"]), virtual_account("app", [APP_TOKEN], ["fake/*"])]
    gateway = start_gateway(documents, workers=1)
    settings = {"type": "gateway-global-settings", "egress_settings": {"deny": ["localhost"]}}
    gateway.write_config([settings], "egress.yaml")
    until(
        lambda: gateway.get("/api/config")["last_rejected"] is not None,
        timeout_s=IN_FORCE_S,
        what="control to refuse what could not work",
    )
    assert "egress_settings.deny" in str(gateway.get("/api/config")["last_rejected"])
    settings["egress_settings"] = {"private_addresses": "refuse"}
    before = gateway.get("/api/config")["version"]
    gateway.write_config([settings], "egress.yaml")
    until(lambda: gateway.get("/api/config")["version"] != before, timeout_s=IN_FORCE_S, what="the change")
    after = gateway.get("/api/config")["version"]
    until(lambda: all_on(gateway, after, workers=1), timeout_s=IN_FORCE_S, what="the worker to run it")
    reply = chat(gateway, "fake/normal")
    assert reply.status == 502
    assert "egress_settings" in reply.json["error"]["message"]
    assert upstream.exchanges == []
