"""The paths of OpenAI's API, so that a call of one has a name without the ids that stand in it.

Pure. What is not in the table below but under one of its first words is passed on too, named after that word.
The table is what the official SDK and OpenAI's specification have; a test compares it with the installed SDK.

Paths: https://github.com/openai/openai-openapi
"""

from __future__ import annotations

from typing import Final

from gateway.endpoints.path_tree import REST, PathTree
from gateway.model import Endpoint

_TEMPLATES: Final = """
/agents
/agents/automations
/agents/automations/{automation_id}
/agents/automations/{automation_id}/invocations
/agents/automations/{automation_id}/invocations/{invocation_id}
/agents/automations/{automation_id}/pause
/agents/automations/{automation_id}/resume
/agents/environments
/agents/environments/templates
/agents/environments/templates/{environment_template_id}
/agents/environments/{environment_id}
/agents/environments/{environment_id}/files
/agents/sessions
/agents/sessions/{session_id}
/agents/sessions/{session_id}/artifacts
/agents/sessions/{session_id}/artifacts/{artifact_id}
/agents/sessions/{session_id}/artifacts/{artifact_id}/content
/agents/sessions/{session_id}/events
/agents/sessions/{session_id}/items
/agents/sessions/{session_id}/subagents
/agents/sessions/{session_id}/subagents/{subagent_id}
/agents/sessions/{session_id}/subagents/{subagent_id}/items
/agents/sessions/{session_id}/subagents/{subagent_id}/turns
/agents/sessions/{session_id}/subagents/{subagent_id}/turns/{turn_id}
/agents/sessions/{session_id}/subagents/{subagent_id}/turns/{turn_id}/items
/agents/sessions/{session_id}/traces
/agents/sessions/{session_id}/turns
/agents/sessions/{session_id}/turns/{turn_id}
/agents/sessions/{session_id}/turns/{turn_id}/items
/agents/{agent_id}
/assistants
/assistants/{assistant_id}
/audio/speech
/audio/transcriptions
/audio/translations
/audio/voice_consents
/audio/voice_consents/{consent_id}
/audio/voices
/audio/voices/{voice_id}
/batches
/batches/{batch_id}
/batches/{batch_id}/cancel
/chat/completions
/chat/completions/{completion_id}
/chat/completions/{completion_id}/messages
/chatkit/sessions
/chatkit/sessions/{session_id}/cancel
/chatkit/threads
/chatkit/threads/{thread_id}
/chatkit/threads/{thread_id}/items
/completions
/containers
/containers/{container_id}
/containers/{container_id}/files
/containers/{container_id}/files/{file_id}
/containers/{container_id}/files/{file_id}/content
/content_provenance_checks
/conversations
/conversations/{conversation_id}
/conversations/{conversation_id}/items
/conversations/{conversation_id}/items/{item_id}
/decisions
/embeddings
/evals
/evals/{eval_id}
/evals/{eval_id}/runs
/evals/{eval_id}/runs/{run_id}
/evals/{eval_id}/runs/{run_id}/cancel
/evals/{eval_id}/runs/{run_id}/output_items
/evals/{eval_id}/runs/{run_id}/output_items/{output_item_id}
/files
/files/{file_id}
/files/{file_id}/content
/fine_tuning/alpha/graders/run
/fine_tuning/alpha/graders/validate
/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions
/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions/{permission_id}
/fine_tuning/jobs
/fine_tuning/jobs/{fine_tuning_job_id}
/fine_tuning/jobs/{fine_tuning_job_id}/cancel
/fine_tuning/jobs/{fine_tuning_job_id}/checkpoints
/fine_tuning/jobs/{fine_tuning_job_id}/events
/fine_tuning/jobs/{fine_tuning_job_id}/pause
/fine_tuning/jobs/{fine_tuning_job_id}/resume
/images/edits
/images/generations
/images/variations
/live/sessions
/live/sessions/{session_id}/accept
/live/sessions/{session_id}/content
/live/sessions/{session_id}/fork
/live/sessions/{session_id}/hangup
/live/sessions/{session_id}/refer
/live/sessions/{session_id}/reject
/models
/models/{model}
/moderations
/realtime/calls
/realtime/calls/{call_id}/accept
/realtime/calls/{call_id}/hangup
/realtime/calls/{call_id}/refer
/realtime/calls/{call_id}/reject
/realtime/client_secrets
/realtime/sessions
/realtime/transcription_sessions
/realtime/translations/client_secrets
/responses
/responses/compact
/responses/input_tokens
/responses/{response_id}
/responses/{response_id}/cancel
/responses/{response_id}/input_items
/safety/alerts/{id}
/safety/cases/{id}
/skills
/skills/{skill_id}
/skills/{skill_id}/content
/skills/{skill_id}/versions
/skills/{skill_id}/versions/{version}
/skills/{skill_id}/versions/{version}/content
/threads
/threads/runs
/threads/{thread_id}
/threads/{thread_id}/messages
/threads/{thread_id}/messages/{message_id}
/threads/{thread_id}/runs
/threads/{thread_id}/runs/{run_id}
/threads/{thread_id}/runs/{run_id}/cancel
/threads/{thread_id}/runs/{run_id}/steps
/threads/{thread_id}/runs/{run_id}/steps/{step_id}
/threads/{thread_id}/runs/{run_id}/submit_tool_outputs
/uploads
/uploads/{upload_id}/cancel
/uploads/{upload_id}/complete
/uploads/{upload_id}/parts
/vaults
/vaults/{vault_id}
/vaults/{vault_id}/credentials
/vaults/{vault_id}/credentials/{credential_id}
/vector_stores
/vector_stores/{vector_store_id}
/vector_stores/{vector_store_id}/file_batches
/vector_stores/{vector_store_id}/file_batches/{batch_id}
/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel
/vector_stores/{vector_store_id}/file_batches/{batch_id}/files
/vector_stores/{vector_store_id}/files
/vector_stores/{vector_store_id}/files/{file_id}
/vector_stores/{vector_store_id}/files/{file_id}/content
/vector_stores/{vector_store_id}/search
/videos
/videos/characters
/videos/characters/{character_id}
/videos/edits
/videos/extensions
/videos/{video_id}
/videos/{video_id}/content
/videos/{video_id}/remix
/webhook_endpoints
/webhook_endpoints/{webhook_endpoint_id}
/webhook_endpoints/{webhook_endpoint_id}/rotate_secret
/webhook_endpoints/{webhook_endpoint_id}/test
/webhook_event_types
"""

_MORE_AREAS: Final = ("organization", "projects")
"""First words of the administration API, whose hundred paths are named after these alone."""

_OPERATIONS: Final = {
    "/audio/transcriptions": "transcription",
    "/audio/translations": "translation",
    "/images/edits": "image_generation",
    "/images/variations": "image_generation",
    "/responses/{response_id}": "fetch_response",
}
"""`gen_ai.operation.name` where it is not the first word of the path."""

_TYPES: Final = {
    "/audio/transcriptions": "audio_transcription",
    "/audio/translations": "audio_translation",
    "/images/edits": "image",
    "/images/variations": "image",
}
"""`Endpoint.name` where it is not the first word of the path: as in `model_types`."""

FORM_CALLS: Final = frozenset(_TYPES)
"""Paths whose form names the model that answers, so that a right to that model is enough."""

_OF_RESPONSES: Final = {
    "/responses/{response_id}": ("GET", "DELETE"),
    "/responses/{response_id}/cancel": ("POST",),
    "/responses/{response_id}/input_items": ("GET",),
}
"""What is asked of a response that is there already, with its methods."""


def _endpoint(template: str) -> Endpoint:
    area = template.split("/", 2)[1]
    return Endpoint(
        name=_TYPES.get(template, area),
        path=template,
        route="/v1" + template,
        operation=_OPERATIONS.get(template, area),
        can_stream=False,
        reply="bytes",
        counts_tokens=False,
    )


TEMPLATES: Final = tuple(_TEMPLATES.split())
_TREE: Final = PathTree(TEMPLATES, _endpoint, more_areas=_MORE_AREAS)

_CANCEL: Final = "cancel"
_CHANGED_ALONE: Final = ("chatcmpl", "run_")
"""How ids begin of what a POST to its own path changes the notes of, and tells whole."""

_CANCELLED: Final = ("resp_", "run_", "batch_")
"""The same of what is cancelled: below a path of which nothing is known a word may be anything."""

PROXY: Final = Endpoint(
    name="proxy",
    path=f"/{REST}",
    route=f"/proxy/{{account}}/{REST}",
    operation="proxy",
    can_stream=False,
    reply="bytes",
    counts_tokens=False,
)
"""A path of whatever API an account has, named in full by the caller."""

OTHER: Final = Endpoint(
    name="other",
    path=f"/{REST}",
    route=f"/v1/{REST}",
    operation="other",
    can_stream=False,
    reply="bytes",
    counts_tokens=False,
)
"""A path that OpenAI's API does not have, for an account that the caller names beside it."""


def needs_no_account(endpoint: Endpoint, method: str) -> bool:
    """Whether the right to any model of an account is enough: who calls a model gets responses to ask about.

    To the letter: below `/responses` are calls of models as well, and a server may find one where this table
    does not (in capitals, behind a `;`, or newer than it).
    """
    return method in _OF_RESPONSES.get(endpoint.path, ())


def tells_again(endpoint: Endpoint, path: str, object_id: str) -> bool:
    """Whether a POST tells again what was made, and used, before: it is cancelled, or its notes change.

    To the letter, and only of the object that the path names: what is none of these may be a call of a model,
    as some servers have paths that this table does not, and some take any that begins as theirs. But for
    a slash at its end, which many servers pass over.
    """
    before, _, last = path.removesuffix("/").rpartition("/")
    if last == _CANCEL:
        last = before.rpartition("/")[2]
        is_named = endpoint.path.endswith(_CANCEL) or last.startswith(_CANCELLED)
    else:
        is_named = last.startswith(_CHANGED_ALONE)
    return is_named and last == object_id


def find_openai_path(path: str) -> Endpoint | None:
    """What *path* asks for, None when OpenAI's API has nothing under its first word.

    Args:
        path: Below the API's base URL, with a leading slash.
    """
    return _TREE.find(path)
