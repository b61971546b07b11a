"""A real llama.cpp server with a model made on the spot, in a process of its own.

The model is a llama of one layer whose attention and feed-forward weights are zero, so that a token's
successor depends on that token alone: whatever the prompt, it says `SENTENCE` and stops, or goes on to a
tool call where the grammar of `tool_choice="required"` does not let it stop. The server around it is the
real one: its tokenizer, chat template, grammar, usage and streaming are what the tests are after.

The native server cannot be stopped inside a process that goes on, so it lives in a child:
`LlamaServer.start()` runs this file as a script and reads the address from its first line.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

SENTENCE: Final = "Hello from a tiny model."
MODEL_ALIAS: Final = "tiny"
START_TIMEOUT_S: Final = 60.0
_WORDS: Final = ("▁Hello", "▁from", "▁a", "▁tiny", "▁model", ".", "<tool_call>")
_EMBEDDING: Final = 320
_END: Final = 2
# Tools and tool calls in the manner of Hermes: llama.cpp reads its grammar for tool calls off the template.
_TEMPLATE: Final = """\
{%- if tools %}<|im_start|>system
<tools>
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
</tools>
Answer with <tool_call>{"name": ..., "arguments": ...}</tool_call><|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{%- if message.content %}
{{ message.content }}
{%- endif %}
{%- if message.tool_calls %}
{%- for call in message.tool_calls %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}
{%- endif %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


def write_model(path: Path) -> None:
    """Write the tiny model to *path* in GGUF (about 6 MB, well under a second)."""
    import gguf  # here: only the making of a model needs it
    import numpy as np

    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *_WORDS]
    types = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    types += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * len(_WORDS)

    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name(MODEL_ALIAS)
    writer.add_context_length(4096)
    writer.add_embedding_length(_EMBEDDING)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(5)
    writer.add_head_count_kv(5)
    writer.add_rope_dimension_count(64)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(_END)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(False)  # a grammar is fed the prompt as it is
    writer.add_chat_template(_TEMPLATE)

    embedding = np.zeros((len(tokens), _EMBEDDING), dtype=np.float32)
    output = np.zeros((len(tokens), _EMBEDDING), dtype=np.float32)
    for token in range(len(tokens)):
        embedding[token, token] = 1.0
        # What comes next, by falling weight: nothing comes near, whatever the temperature.
        output[tokens.index(_WORDS[0]), token] = 4.0
        # Only a grammar, which forbids the above, lets these be seen; they end a tool call soon.
        output[_END, token] = 2.0
        output[[tokens.index(f"<0x{ord(mark):02X}>") for mark in '{}":<'], token] = 1.0
    for word, successor in pairwise(_WORDS[:-1]):
        output[:, tokens.index(word)] = 0.0
        output[tokens.index(successor), tokens.index(word)] = 4.0
    last = tokens.index(_WORDS[-2])
    output[:, last] = 0.0
    output[_END, last] = 4.0
    output[tokens.index(_WORDS[-1]), last] = 2.0
    output[tokens.index("<0x0A>"), tokens.index(_WORDS[-1])] = 8.0
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output.weight", output)
    writer.add_tensor("output_norm.weight", np.ones(_EMBEDDING, dtype=np.float32))
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(_EMBEDDING, dtype=np.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros((_EMBEDDING, _EMBEDDING), dtype=np.float32))
    for name, shape in (("gate", (32, _EMBEDDING)), ("up", (32, _EMBEDDING)), ("down", (_EMBEDDING, 32))):
        writer.add_tensor(f"blk.0.ffn_{name}.weight", np.zeros(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class LlamaServer:
    """The server as a child process.

    Attributes:
        base_url: Ends in `/v1`; known after `start()`.
    """

    def __init__(self, folder: Path, *, serves: Literal["completions", "embeddings"] = "completions") -> None:
        self._folder = folder
        self._serves = serves
        self._process: subprocess.Popen[str] | None = None
        self.base_url = ""

    def start(self) -> Self:
        """Make the model and run the server.

        Raises:
            RuntimeError: It did not come up.
        """
        model = self._folder / f"{self._serves}.gguf"
        write_model(model)
        log_path = self._folder / f"llama-{self._serves}.log"
        with log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).resolve()), str(model), self._serves],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        deadline = threading.Timer(START_TIMEOUT_S, self._process.kill)
        deadline.start()
        try:
            assert self._process.stdout is not None
            for line in self._process.stdout:
                if line.startswith("listening "):
                    self.base_url = line.split()[1] + "/v1"
                    return self
        finally:
            deadline.cancel()
        msg = f"llama.cpp did not start:\n{log_path.read_text(errors='replace')[-2000:]}"
        raise RuntimeError(msg)

    def stop(self) -> None:
        """End the child; it has nothing worth a graceful stop."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _serve(model: Path, serves: str) -> None:
    import xllamacpp

    params: Any = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {MODEL_ALIAS}
    params.n_ctx = 4096
    params.n_parallel = 2
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.n_threads_http = 4
    params.warmup = False
    params.use_jinja = True
    if serves == "embeddings":
        # One server of llama.cpp does the one or the other.
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    server = xllamacpp.Server(params)
    print("listening", server.listening_address, flush=True)
    # The parent holds the other end: when it dies, however, the read ends and so do we.
    sys.stdin.read()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("serves")
    arguments = parser.parse_args()
    _serve(arguments.model, arguments.serves)
