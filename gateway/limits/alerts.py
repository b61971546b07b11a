"""Who is told that a budget is nearly spent, from manifests to messages. Pure but for what is passed in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Literal

from gateway.config import Config, SecretReference
from gateway.config.manifests.alerts import RESOURCE_NAMES, BudgetAlert, MsTeamsWebhook, SlackWebhook
from gateway.config.manifests.budgets import TeamBudgetConfig, TenantBudgetConfig
from gateway.limits.readings import Reading
from gateway.limits.rules import MICRO_USD, Rule

_CARD: Final = "application/vnd.microsoft.card.adaptive"
_CARD_VERSION: Final = "1.4"
_KEY_BYTES: Final = 16
_UNITS: Final = {"requests": "requests", "tokens": "tokens", "cost": "USD"}
_MARKUP: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_DATE_CHARACTERS: Final = 10

WebhookKind = Literal["slack-webhook", "ms-teams-webhook"]


@dataclass(frozen=True, slots=True)
class Channel:
    """A webhook.

    Attributes:
        url: Where its URL is read; relative files start at *folder*.
    """

    kind: WebhookKind
    url: SecretReference
    folder: Path


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told of one budget.

    Attributes:
        thresholds: In percent, from the lowest on.
    """

    thresholds: tuple[float, ...]
    channels: tuple[Channel, ...]


Watches = Mapping[tuple[str, str], Watch]
"""By type and name of the budget."""


def watches_of(config: Config) -> Watches:
    """The budgets of which somebody is told."""
    return {key: watch for key, watch in _watches(config) if watch.channels and watch.thresholds}


def watched(rules: Iterator[Rule], watches: Watches) -> list[Rule]:
    """The rules of these budgets."""
    return [rule for rule in rules if rule.is_budget and (rule.source, rule.id) in watches]


def passed(reading: Reading, watch: Watch) -> tuple[float, ...]:
    """The thresholds that what is used has reached; none of an unused limit of 0."""
    if not reading.used:
        return ()
    return tuple(threshold for threshold in watch.thresholds if reading.percentage >= threshold)


def key_of(reading: Reading, threshold: float, channel: Channel) -> str:
    """What an alert is remembered by: another window, limit or channel is another alert."""
    meter = reading.meter
    limit = meter.limit
    parts = (
        *(meter.rule.source, meter.rule.id, limit.name, limit.amount, meter.rule.per, meter.entity),
        *(reading.begin_s, threshold, channel.kind, channel.url.kind.value, channel.url.target),
    )
    return blake2b(repr(parts).encode(), digest_size=_KEY_BYTES).hexdigest()


def text_of(reading: Reading, thresholds: Sequence[float], start: str | None, end: str | None) -> str:
    """What people are told.

    Args:
        reading: Of the budget, for one of those that it counts for.
        thresholds: That it has passed.
        start: Of the window, RFC 3339; *end* likewise.
    """
    meter = reading.meter
    rule, kind = meter.rule, meter.limit.kind
    whom = ", ".join(
        f"{name} {value or '(none)'}" for name, value in zip(rule.per, meter.entity, strict=True)
    )
    of_whom = f" of {whom}" if whom else ""
    reached = ", ".join(f"{threshold:g}" for threshold in thresholds)
    dates = [time[:_DATE_CHARACTERS] for time in (start, end) if time]
    window = f" from {dates[0]} until {dates[1]} (UTC)" if len(dates) == len(("start", "end")) else " in all"
    spent = f"{_amount(kind, reading.used)} of {_amount(kind, meter.limit.amount)} {_UNITS[kind]}"
    what = f'The budget "{rule.id}"{of_whom} has reached {reached} %'
    return f"{what}: {spent} ({reading.percentage:.1f} %) are used{window}. {_consequence(rule, reading)}"


def body_of(kind: WebhookKind, text: str) -> dict[str, Any]:
    """What a webhook of this *kind* takes. Names come from callers, so no markup is left in the text."""
    if kind == "slack-webhook":
        return {"text": text.translate(_MARKUP)}
    card = {
        "type": "AdaptiveCard",
        "version": _CARD_VERSION,
        "body": [{"type": "TextBlock", "text": text.replace("[", "("), "wrap": True}],
    }
    return {"type": "message", "attachments": [{"contentType": _CARD, "content": card}]}


def _watches(config: Config) -> Iterator[tuple[tuple[str, str], Watch]]:
    for manifest in config.budgets:
        for rule in manifest.rules:
            if rule.alerts is not None:
                yield (manifest.type, rule.id), _watch(rule.alerts, manifest.source.folder)
    budgets: list[TenantBudgetConfig | TeamBudgetConfig] = [*config.tenant_budgets, *config.team_budgets]
    for budget in budgets:
        if budget.alerts is not None:
            yield (budget.type, budget.name), _watch(budget.alerts, budget.source.folder)


def _watch(alerts: BudgetAlert, folder: Path) -> Watch:
    channels = [
        Channel(target.type, target.notification_channel, folder)
        for target in alerts.notification_target
        if isinstance(target, SlackWebhook | MsTeamsWebhook)
        and not (
            target.notification_channel.is_literal and target.notification_channel.target in RESOURCE_NAMES
        )
    ]
    return Watch(tuple(sorted(set(alerts.thresholds))), tuple(dict.fromkeys(channels)))


def _amount(kind: str, amount: int) -> str:
    return f"{amount / MICRO_USD:.6g}" if kind == "cost" else str(amount)


def _consequence(rule: Rule, reading: Reading) -> str:
    if rule.mode == "audit":
        return "It only watches."
    unless = " unless another budget has room" if rule.mode == "soft_enforce" else ""
    if not reading.has_room or reading.percentage >= 100:  # noqa: PLR2004 - all of it
        return f"Calls beyond it are refused{unless}."
    return f"Calls are refused once it is used up{unless}."
