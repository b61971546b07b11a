"""Who is told of budgets."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.config.manifests.alerts import BudgetAlert


def test_thresholds() -> None:
    """TrueFoundry's, where none is written."""
    assert BudgetAlert().thresholds == (75, 90, 95, 100)
    assert BudgetAlert.model_validate({"thresholds": [50, 99.5]}).thresholds == (50, 99.5)


@pytest.mark.parametrize(
    "target",
    [
        {"type": "email", "notification_channel": "c", "to_emails": ["a@x.io"]},
        {"type": "slack-webhook", "notification_channel": "c"},
        {"type": "slack-bot", "notification_channel": "c", "channels": ["#x"]},
        {"type": "pagerduty", "notification_channel": "c"},
        {"type": "ms-teams-webhook", "notification_channel": "c"},
    ],
)
def test_targets(target: dict[str, object]) -> None:
    """Each of TrueFoundry's kinds, with what it needs."""
    alert = BudgetAlert.model_validate({"notification_target": [target]})
    assert alert.notification_target[0].type == target["type"]
    for name in target.keys() - {"type"}:
        less = {key: value for key, value in target.items() if key != name}
        with pytest.raises(ValidationError):
            BudgetAlert.model_validate({"notification_target": [less]})
