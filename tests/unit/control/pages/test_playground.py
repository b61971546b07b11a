"""The page of the playground."""

from __future__ import annotations

from gateway.control.pages.playground import PATH
from tests.unit.control.rooms import Rooms


def test_it_says_where_the_gateway_is_and_holds_no_token() -> None:
    """Code shows the address; credentials stay between control and the data plane."""
    text = Rooms().client().get(PATH).text
    assert 'data-gateway="http://127.0.0.1:8787"' in text
    assert "gwd_" not in text
