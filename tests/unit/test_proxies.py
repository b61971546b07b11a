"""Which proxy leads to a provider, as the environment says."""

from __future__ import annotations

import pytest

from gateway.proxies import Proxies

HTTPS = "https://api.test/v1/chat/completions"
HTTP = "http://lab.test:8000/v1"


def test_without_proxies() -> None:
    """An environment that names none leads straight there."""
    proxies = Proxies({"PATH": "/bin", "HTTPS_PROXY": "", "https_proxy": ""})
    assert (proxies.find(HTTPS), proxies.find(HTTP)) == (None, None)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "Https_Proxy"])
def test_case_of_the_name(name: str) -> None:
    """Names are taken in upper and in lower case; each scheme has its own."""
    proxies = Proxies({name: "http://proxy:3128"})
    assert (proxies.find(HTTPS), proxies.find(HTTP)) == ("http://proxy:3128", None)


@pytest.mark.parametrize(
    ("written", "proxy"),
    [
        pytest.param("proxy:3128", "http://proxy:3128", id="host and port"),
        pytest.param("proxy", "http://proxy", id="host"),
        pytest.param("10.0.0.1:3128", "http://10.0.0.1:3128", id="address"),
        pytest.param("user:secret@proxy:3128", "http://user:secret@proxy:3128", id="with a login"),
        pytest.param("https://proxy:3128", "https://proxy:3128", id="with its scheme"),
    ],
)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ALL_PROXY"])
def test_proxy_without_a_scheme(name: str, written: str, proxy: str) -> None:
    """`host:port` is common and means HTTP."""
    assert Proxies({name: written}).find(HTTPS) == proxy


def test_all_proxy_is_the_rest() -> None:
    """What has no proxy of its own scheme takes `ALL_PROXY`."""
    proxies = Proxies({"ALL_PROXY": "http://all:1", "HTTP_PROXY": "http://plain:2"})
    assert (proxies.find(HTTPS), proxies.find(HTTP)) == ("http://all:1", "http://plain:2")


@pytest.mark.parametrize(
    ("exceptions", "url", "is_direct"),
    [
        pytest.param("api.test", HTTPS, True, id="host"),
        pytest.param("other.test, .test", HTTPS, True, id="suffix"),
        pytest.param("test", HTTPS, True, id="domain"),
        pytest.param("*", HTTPS, True, id="all"),
        pytest.param("API.TEST", HTTPS, True, id="any case"),
        pytest.param("pi.test", HTTPS, False, id="a part of a word"),
        pytest.param("lab.test:8000", HTTP, True, id="port"),
        pytest.param("lab.test:9000", HTTP, False, id="another port"),
        pytest.param("localhost,127.0.0.1", "http://127.0.0.1:9/v1", True, id="address"),
        pytest.param(".svc, 10.0.0.0/8", "https://10.1.2.3:8443/v1", True, id="network"),
        pytest.param("10.0.0.0/8", "https://11.1.2.3/v1", False, id="another network"),
        pytest.param("10.0.0.0/8", "https://u:p@10.1.2.3/v1", True, id="network, with a login"),
        pytest.param("10.0.0.0/8", "https://10.1.2.3.test/v1", False, id="a name like an address"),
        pytest.param("::1,fd00::/8", "https://[fd00::1]:8443/v1", True, id="network of IPv6"),
        pytest.param("::1", "https://[::1]/v1", True, id="address of IPv6"),
        pytest.param("*.test", HTTPS, True, id="any name below"),
        pytest.param("*.api.test", HTTPS, False, id="not the name itself"),
        pytest.param("*.pi.test", "https://x.api.test/", False, id="any name below a part of a word"),
        pytest.param("", HTTPS, False, id="none"),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_hosts_that_need_none(name: str, exceptions: str, url: str, *, is_direct: bool) -> None:
    """`NO_PROXY` names hosts, domains and ports to reach directly."""
    proxies = Proxies({"ALL_PROXY": "proxy:3128", name: exceptions})
    assert (proxies.find(url) is None) is is_direct


def test_each_host_is_looked_up_once() -> None:
    """The rules are gone through once for each scheme and host, whatever the path; ports are hosts apart."""
    proxies = Proxies({"ALL_PROXY": "proxy:3128", "NO_PROXY": "lab.test"})
    for _ in range(2):
        for url in (HTTPS, "https://api.test/v1/embeddings", HTTP, "http://lab.test/v1"):
            proxies.find(url)
    assert proxies._found == {
        ("https", "api.test"): "http://proxy:3128",
        ("http", "lab.test:8000"): None,
        ("http", "lab.test"): None,
    }
