"""Who is told that a budget is nearly spent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.manifests.part import Part, Text

Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False, strict=True)]


class NotificationTarget(Part):
    """What all have."""

    type: str
    notification_channel: Text
    """The channel, by its resource name."""


class Email(NotificationTarget):
    """Mails."""

    type: Literal["email"]
    to_emails: tuple[Text, ...]
    """With `email`: to whom."""


class SlackWebhook(NotificationTarget):
    """A webhook of Slack."""

    type: Literal["slack-webhook"]


class SlackBot(NotificationTarget):
    """A bot of Slack."""

    type: Literal["slack-bot"]
    channels: tuple[Text, ...]
    """With `slack-bot`: where it writes."""


class PagerDuty(NotificationTarget):
    """A service of PagerDuty."""

    type: Literal["pagerduty"]


class MsTeamsWebhook(NotificationTarget):
    """A webhook of Microsoft Teams."""

    type: Literal["ms-teams-webhook"]


AnyTarget = Annotated[
    Email | SlackWebhook | SlackBot | PagerDuty | MsTeamsWebhook, Field(discriminator="type")
]


class BudgetAlert(Part):
    """Who is told, and when."""

    thresholds: tuple[Percent, ...] = (75.0, 90.0, 95.0, 100.0)
    """At which shares of the budget, in percent."""
    notification_target: tuple[AnyTarget, ...] = ()
    """Who is told."""
