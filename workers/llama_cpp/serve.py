"""Serves a Llama model of a Hugging Face folder with the real server of llama.cpp, for tests.

    pip install -r workers/llama_cpp/requirements.txt
    python workers/llama_cpp/serve.py tests/golden/models/llama-untied 8081 &
    CRITIQUE_RL_LLAMA_URL=http://127.0.0.1:8081 cargo test --release -p critique-remote --test it llama_cpp::

The folder needs no tokenizer: tokens get made-up texts, and requests are made of ids.
"""
import json
import os
import signal
import sys
import tempfile

import gguf
import numpy
import xllamacpp
from safetensors.numpy import load_file


def write(folder, path):
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    heads, groups, vocab = config["num_attention_heads"], config["num_key_value_heads"], config["vocab_size"]
    out = gguf.GGUFWriter(path, "llama")
    out.add_context_length(config["max_position_embeddings"])
    out.add_embedding_length(config["hidden_size"])
    out.add_block_count(config["num_hidden_layers"])
    out.add_feed_forward_length(config["intermediate_size"])
    out.add_head_count(heads)
    out.add_head_count_kv(groups)
    out.add_rope_dimension_count(config["head_dim"])
    out.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    out.add_layer_norm_rms_eps(config["rms_norm_eps"])
    out.add_vocab_size(vocab)
    out.add_file_type(gguf.LlamaFileType.ALL_F32)
    write_tokens(out, vocab)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, value in load_file(os.path.join(folder, "model.safetensors")).items():
        value = value.astype(numpy.float32)
        if "q_proj" in name:
            value = interleaved(value, heads)
        if "k_proj" in name:
            value = interleaved(value, groups)
        out.add_tensor(names.get_name(name, try_suffixes=(".weight",)), numpy.ascontiguousarray(value))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def write_tokens(out, vocab):
    out.add_tokenizer_model("llama")
    out.add_token_list([b"<unk>", b"<s>", b"</s>"] + [f"w{i}".encode() for i in range(3, vocab)])
    out.add_token_scores([-float(i) for i in range(vocab)])
    out.add_token_types([gguf.TokenType.UNKNOWN] + [gguf.TokenType.CONTROL] * 2 + [gguf.TokenType.NORMAL] * (vocab - 3))
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_unk_token_id(0)
    out.add_add_bos_token(False)


def interleaved(weight, heads):
    """GGUF keeps the two halves of each rotary pair side by side."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def main(folder, port):
    path = os.path.join(tempfile.mkdtemp(), "model.gguf")
    write(folder, path)
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.n_parallel = 2
    params.cpuparams.n_threads = 1  # its threads spin while they wait
    server = xllamacpp.Server(params)
    print(f"llama.cpp: {server.listening_address}", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main(*sys.argv[1:])
