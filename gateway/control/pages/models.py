"""AI Gateway > Models: provider accounts, virtual models, and how their targets do."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.config.manifests.known import IN_FORCE, NOT_IN_FORCE, VIRTUAL_MODELS
from gateway.control.pages.editor import editor_page
from gateway.control.pages.frame import Crumb, Frame

PATH: Final = "/models"
_ABOVE: Final = (Crumb("AI Gateway", "/"),)
_BELOW: Final = (*_ABOVE, Crumb("Models", PATH))
_ACCOUNT: Final = "provider-account/"
# What most people have stands first; the rest follows by name.
_FIRST: Final = (
    "openai",
    "anthropic",
    "google-gemini",
    "azure-openai",
    "aws-bedrock",
    "google-vertex",
    "self-hosted-model",
    "ollama",
)
_TITLES: Final = {
    "openai": "OpenAI",
    "anthropic": "Anthropic",
    "google-gemini": "Google Gemini",
    "google-vertex": "Google Vertex AI",
    "azure-openai": "Azure OpenAI",
    "azure-foundry": "Azure Foundry",
    "aws-bedrock": "AWS Bedrock",
    "aws-sagemaker": "AWS SageMaker",
    "self-hosted-model": "A server of your own",
    "xai": "xAI",
    "ai21": "AI21",
    "deepinfra": "DeepInfra",
    "openrouter": "OpenRouter",
    "perplexity-ai": "Perplexity AI",
    "sambanova": "SambaNova",
    "together-ai": "Together AI",
    "mistral-ai": "Mistral AI",
}


def model_pages(frame: Frame) -> list[Route]:
    """The routes of this room."""
    titles = {one["type"]: one["title"] for one in providers()}
    others = sorted(kind for kind in NOT_IN_FORCE if kind.startswith(_ACCOUNT))

    async def accounts(request: Request) -> Response:
        values = {"kind": "accounts", "others": others, "titles": titles, "virtual_type": VIRTUAL_MODELS}
        return frame.page(request, "models.html", "Models", *_ABOVE, values=values)

    async def virtual(request: Request) -> Response:
        values = {"kind": "virtual", "others": others, "titles": titles, "virtual_type": VIRTUAL_MODELS}
        return frame.page(request, "models.html", "Virtual models", *_BELOW, values=values)

    async def targets(request: Request) -> Response:
        return frame.page(request, "targets.html", "Target health", *_BELOW, values={"kind": "targets"})

    async def choose(request: Request) -> Response:
        return frame.page(
            request, "providers.html", "Add an account", *_BELOW, values={"providers": providers()}
        )

    async def edit(request: Request) -> Response:
        kind = request.query_params.get("type", "")
        if kind == VIRTUAL_MODELS:
            title = "New group of virtual models"
            return editor_page(frame, request, f"{PATH}/virtual", *_BELOW, new_title=title)
        title = f"New account: {titles[kind]}" if kind in titles else ""
        return editor_page(frame, request, PATH, *_BELOW, new_title=title)

    return [
        Route(PATH, accounts, methods=["GET"]),
        Route(f"{PATH}/virtual", virtual, methods=["GET"]),
        Route(f"{PATH}/targets", targets, methods=["GET"]),
        Route(f"{PATH}/new", choose, methods=["GET"]),
        Route(f"{PATH}/edit", edit, methods=["GET"]),
    ]


def providers() -> list[dict[str, str]]:
    """The types of accounts that can be added: those that most have, then all by name."""
    found = [
        kind.removeprefix(_ACCOUNT)
        for kind in IN_FORCE
        if kind.startswith(_ACCOUNT) and kind != VIRTUAL_MODELS
    ]
    ordered = [*_FIRST, *sorted(set(found) - set(_FIRST))]
    return [
        {"type": f"{_ACCOUNT}{name}", "title": _TITLES.get(name, name.replace("-", " ").title())}
        for name in ordered
    ]
