"""Teams as manifests have them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.config.manifests.team import Team


def test_a_team() -> None:
    """Members must be written, if only that there are none, as with TrueFoundry."""
    team = Team.model_validate({"type": "team", "name": "ml", "members": [], "displayName": "M. L."})
    assert (team.members, team.models, team.display_name) == ((), (), "M. L.")
    with pytest.raises(ValidationError, match="members"):
        Team.model_validate({"type": "team", "name": "ml"})


def test_everyone_needs_no_manifest() -> None:
    """All users are in it, which no list of members must change."""
    with pytest.raises(ValidationError, match="the team of all users"):
        Team.model_validate({"type": "team", "name": "everyone", "members": ["a@x.io"]})
