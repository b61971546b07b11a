"""The paths of Anthropic's API that are no calls of a model, and what in its replies leads to one of them.

Pure. The table is what the official SDK has; a test compares it with the installed one. Lists of models are
not in it: the gateway answers those itself.

Paths: https://platform.claude.com/docs/en/api/overview
"""

from __future__ import annotations

import re
from typing import Final

from gateway.endpoints.path_tree import PathTree
from gateway.model import Endpoint

_TEMPLATES: Final = """
/agents
/agents/{agent_id}
/agents/{agent_id}/archive
/agents/{agent_id}/versions
/deployment_runs
/deployment_runs/{deployment_run_id}
/deployments
/deployments/{deployment_id}
/deployments/{deployment_id}/archive
/deployments/{deployment_id}/pause
/deployments/{deployment_id}/run
/deployments/{deployment_id}/unpause
/dreams
/dreams/{dream_id}
/dreams/{dream_id}/archive
/dreams/{dream_id}/cancel
/environments
/environments/{environment_id}
/environments/{environment_id}/archive
/environments/{environment_id}/work
/environments/{environment_id}/work/poll
/environments/{environment_id}/work/stats
/environments/{environment_id}/work/{work_id}
/environments/{environment_id}/work/{work_id}/ack
/environments/{environment_id}/work/{work_id}/heartbeat
/environments/{environment_id}/work/{work_id}/stop
/files
/files/{file_id}
/files/{file_id}/content
/memory_stores
/memory_stores/{memory_store_id}
/memory_stores/{memory_store_id}/archive
/memory_stores/{memory_store_id}/memories
/memory_stores/{memory_store_id}/memories/{memory_id}
/memory_stores/{memory_store_id}/memory_versions
/memory_stores/{memory_store_id}/memory_versions/{memory_version_id}
/memory_stores/{memory_store_id}/memory_versions/{memory_version_id}/redact
/messages/batches
/messages/batches/{message_batch_id}
/messages/batches/{message_batch_id}/cancel
/messages/batches/{message_batch_id}/results
/sessions
/sessions/{session_id}
/sessions/{session_id}/archive
/sessions/{session_id}/events
/sessions/{session_id}/events/stream
/sessions/{session_id}/resources
/sessions/{session_id}/resources/{resource_id}
/sessions/{session_id}/threads
/sessions/{session_id}/threads/{thread_id}
/sessions/{session_id}/threads/{thread_id}/archive
/sessions/{session_id}/threads/{thread_id}/events
/sessions/{session_id}/threads/{thread_id}/stream
/skills
/skills/{skill_id}
/skills/{skill_id}/versions
/skills/{skill_id}/versions/{version}
/skills/{skill_id}/versions/{version}/content
/tunnels
/tunnels/{tunnel_id}
/tunnels/{tunnel_id}/archive
/tunnels/{tunnel_id}/certificates
/tunnels/{tunnel_id}/certificates/{certificate_id}
/tunnels/{tunnel_id}/certificates/{certificate_id}/archive
/tunnels/{tunnel_id}/reveal_token
/tunnels/{tunnel_id}/rotate_token
/user_profiles
/user_profiles/{user_profile_id}
/user_profiles/{user_profile_id}/action_urls
/user_profiles/{user_profile_id}/enrollment_url
/user_profiles/{user_profile_id}/providers/google/data_controls
/vaults
/vaults/{vault_id}
/vaults/{vault_id}/archive
/vaults/{vault_id}/credentials
/vaults/{vault_id}/credentials/{credential_id}
/vaults/{vault_id}/credentials/{credential_id}/archive
/vaults/{vault_id}/credentials/{credential_id}/mcp_oauth_validate
"""

ADMINISTRATION: Final = ("organizations", "compliance")
"""First words of the administration API, whose hundred paths are named after these alone."""

_BATCHES: Final = "/messages/batches"
_RESULTS: Final = re.compile(
    rb'("results_url"\s*:\s*")[^"\\]*?(/messages/batches/[A-Za-z0-9_-]+/results)(?=[?"])'
)


def _endpoint(template: str) -> Endpoint:
    area = "message_batches" if template.startswith(_BATCHES) else template.split("/", 2)[1]
    return Endpoint(
        name=area,
        path=template,
        route="/v1" + template,
        operation=area,
        can_stream=False,
        dialect="anthropic",
        reply="bytes",
        counts_tokens=False,
    )


TEMPLATES: Final = tuple(_TEMPLATES.split())
_TREE: Final = PathTree(TEMPLATES, _endpoint, more_areas=ADMINISTRATION)


def find_anthropic_path(path: str) -> Endpoint | None:
    """What *path* asks for, None when Anthropic's API has nothing under its first word.

    Args:
        path: Below the API's base URL, with a leading slash.
    """
    return _TREE.find(path)


def is_long(endpoint: Endpoint) -> bool:
    """Whether its JSON may be too long to be held: a batch has up to 256 MB of calls in it."""
    return endpoint.path == _BATCHES


def own_links(body: bytes) -> bytes:
    """*body* with the way to a batch's results leading through the gateway.

    Anthropic gives a whole address there, which its SDKs ask next: with the caller's key of the gateway, and
    past it. A path is put after the base URL by all of them.
    """
    return _RESULTS.sub(rb"\1/v1\2", body) if b'"results_url"' in body else body
