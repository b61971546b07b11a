"""Who is told that a budget is nearly spent."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import Field

from gateway.config.manifests.part import Part, Secret, Text

_RESOURCE_NAME: Final = re.compile(r"(?!env:|file:)[A-Za-z0-9@._-]+(:[A-Za-z0-9@._-]+)+")

Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False, strict=True)]


class NotificationTarget(Part):
    """What all have."""

    type: str
    notification_channel: Text
    """The channel, by its resource name."""


UNBUILT_TARGETS: Final = frozenset({"email", "slack-bot", "pagerduty"})


class ResourceNames:
    """Every resource name: what TrueFoundry calls a channel by, and the gateway has no channels of."""

    def __contains__(self, value: object) -> bool:
        """Whether *value* is one, and no URL nor a reference to a secret."""
        return isinstance(value, str) and _RESOURCE_NAME.fullmatch(value) is not None


RESOURCE_NAMES: Final = ResourceNames()


class Email(NotificationTarget):
    """Mails."""

    type: Literal["email"]
    to_emails: tuple[Text, ...]
    """With `email`: to whom."""


class SlackWebhook(NotificationTarget):
    """A webhook of Slack, or of whatever takes `{"text": "..."}`."""

    type: Literal["slack-webhook"]
    notification_channel: Secret  # type: ignore[assignment]  # a text in the manifest, as there
    """With `slack-webhook` and `ms-teams-webhook`: the URL, as a secret."""


class SlackBot(NotificationTarget):
    """A bot of Slack."""

    type: Literal["slack-bot"]
    channels: tuple[Text, ...]
    """With `slack-bot`: where it writes."""


class PagerDuty(NotificationTarget):
    """A service of PagerDuty."""

    type: Literal["pagerduty"]


class MsTeamsWebhook(NotificationTarget):
    """A webhook of Microsoft Teams, which gets an adaptive card."""

    type: Literal["ms-teams-webhook"]
    notification_channel: Secret  # type: ignore[assignment]  # as above
    """As with `slack-webhook`."""


AnyTarget = Annotated[
    Email | SlackWebhook | SlackBot | PagerDuty | MsTeamsWebhook, Field(discriminator="type")
]


class BudgetAlert(Part):
    """Who is told, and when."""

    thresholds: tuple[Percent, ...] = (75.0, 90.0, 95.0, 100.0)
    """At which shares of the budget, in percent."""
    notification_target: tuple[AnyTarget, ...] = ()
    """Who is told."""
