"""The paths are those of Bedrock's own description, as AWS's SDK has it."""

from __future__ import annotations

from botocore.session import Session

from gateway.endpoints.bedrock_catalogue import INVOKE, INVOKE_EMBEDDING, MODEL_CALLS, OTHER
from gateway.endpoints.bedrock_paths import BIDIRECTIONAL


def test_every_call_of_a_model() -> None:
    """None is missing, but for the one that needs HTTP/2."""
    operations = Session().get_service_model("bedrock-runtime")
    paths = {str(operations.operation_model(name).http["requestUri"]) for name in operations.operation_names}
    of_models = {path for path in paths if path.startswith("/model/")}
    assert of_models == {
        *(endpoint.path for endpoint in MODEL_CALLS),
        f"/model/{{modelId}}/{BIDIRECTIONAL}",
    }


def test_names() -> None:
    """Streams are the same endpoint, said to be one; none has a name of another API's."""
    assert {endpoint.name for endpoint in MODEL_CALLS} == {"converse", "invoke_model", "count_model_tokens"}
    assert [endpoint.can_stream for endpoint in MODEL_CALLS] == [False, True, False, True, False]
    assert all(endpoint.dialect == "converse" for endpoint in (*MODEL_CALLS, OTHER))
    assert (INVOKE_EMBEDDING.route, INVOKE_EMBEDDING.operation) == (INVOKE.route, "embeddings")
