"""Virtual models: names that applications use, while operators decide which models stand behind them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.config.manifests.load_balancing import AnyRouting
from gateway.config.manifests.part import AccountName, IntegrationName, Manifest, Part, wrong
from gateway.config.manifests.provider_account import AccountOwner, Collaborator


def _check_slug(text: str) -> str:
    if "/" in text:
        raise wrong("a slug takes no '/'", "Write one word, or make it an alias")
    return text


class VirtualModel(Part):
    """A name, and the models behind it."""

    type: Literal["integration/model/virtual"] = "integration/model/virtual"
    name: IntegrationName
    """The second half of the model's name."""
    model_types: tuple[str, ...] = ()
    """What the model can do: chat, completion, embedding and others."""
    slug: Annotated[IntegrationName, AfterValidator(_check_slug)] | None = None
    """A name that can be used in place of `<name>/<integration>`."""
    alias: tuple[IntegrationName, ...] = ()
    """More of them; these may hold `/`."""
    routing_config: Annotated[AnyRouting, Field(discriminator="type")]
    """How one of its targets is chosen."""

    @property
    def other_names(self) -> tuple[str, ...]:
        """Slug and aliases."""
        return self.alias if self.slug is None else (self.slug, *self.alias)


class VirtualModelAccount(Manifest):
    """A group of virtual models."""

    type: Literal["provider-account/virtual-model"]
    name: AccountName
    """The first half of the model names: `<name>/<integration>`."""
    integrations: tuple[VirtualModel, ...]
    """The virtual models."""
    collaborators: tuple[Collaborator, ...] = ()
    """Who may use or manage the group."""
    owned_by: AccountOwner | None = Field(default=None, alias="ownedBy")
    """Which account owns this one."""
