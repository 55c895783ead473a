"""What transformers and PEFT make of unusual files: fields in other places, adapters on some layers.

    python tests/golden/make_loading.py [OUT_FILE]        # default: loading.json beside this script

Each case changes files of a model in `models/` and gives log-probs of `ids` under it. The model's
own `make_models.py` must have run before. What the fields mean is in README.md.
"""
# Made with torch 2.15.0, transformers 5.23.0, peft 0.21.2, safetensors 0.8.0.
import json
import os
import pathlib
import shutil
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

HERE = pathlib.Path(__file__).parent
OUT = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "loading.json"
LENGTH = 24
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0)

# name -> model, fields of config.json that are set, fields that are removed
CONFIGS = {
    "original context at the top level alone":
        ("llama3-rope", dict(rope_parameters=LLAMA3 | dict(rope_theta=1e4), original_max_position_embeddings=16), []),
    "original context at the top level and inside":
        ("llama3-rope", dict(original_max_position_embeddings=16), []),
    "original context at the top level of the older spelling":
        ("llama3-rope", dict(rope_scaling=LLAMA3, rope_theta=5e3, original_max_position_embeddings=20),
         ["rope_parameters"]),
    "no original context":
        ("llama3-rope", dict(rope_parameters=LLAMA3 | dict(rope_theta=1e4)), []),
    "original context with a point":
        ("llama3-rope", dict(rope_parameters=LLAMA3 | dict(rope_theta=1e4, original_max_position_embeddings=16.0)), []),
    "the top level counts for no other kind":
        ("llama-untied", dict(original_max_position_embeddings=16), []),
    "an empty rope_scaling":
        ("qwen2-tied", dict(rope_scaling={}, rope_parameters=dict(rope_type="default", rope_theta=2e4)), []),
    "rope_scaling before rope_parameters":
        ("llama3-rope", dict(rope_scaling=LLAMA3, rope_parameters=dict(rope_type="default", rope_theta=3e5)), []),
    "rope_theta in rope_scaling and at the top level":
        ("llama3-rope", dict(rope_scaling=LLAMA3 | dict(rope_theta=2e3), rope_theta=7e5), ["rope_parameters"]),
    "rope_theta at the top level beside rope_parameters without one":
        ("qwen2-tied", dict(rope_theta=3e3, rope_parameters=dict(rope_type="default")), []),
    "rope_theta inside before the top level":
        ("qwen2-tied", dict(rope_theta=3e3, rope_parameters=dict(rope_type="default", rope_theta=2e2)), []),
    "no rotary fields": ("qwen3-tied", {}, ["rope_parameters", "rope_theta"]),
    "rope_type before type":
        ("llama3-rope", dict(rope_scaling=LLAMA3 | dict(type="default"), rope_theta=1e4), ["rope_parameters"]),
    "type alone":
        ("llama3-rope", dict(rope_scaling={k: v for k, v in LLAMA3.items() if k != "rope_type"} | dict(type="llama3"),
                             rope_theta=1e4), ["rope_parameters"]),
    "swish": ("qwen2-untied", dict(hidden_act="swish"), []),
    "a window as wide as the context":
        ("qwen2-tied", dict(use_sliding_window=True, sliding_window=128, max_window_layers=0), ["layer_types"]),
    "a window that layer_types leaves out":
        ("qwen2-tied", dict(use_sliding_window=True, sliding_window=4, max_window_layers=0), []),
    "no rms_norm_eps": ("llama-untied", {}, ["rms_norm_eps"]),
    "torch_dtype": ("llama-untied", dict(torch_dtype="float32"), ["dtype"]),
}

# name -> model, fields of adapter_config.json that are set, layers whose tensors stay (a part of their names), and
# ranks by such a part (the first rows of A and columns of B)
ADAPTERS = {
    "an expression": ("llama-untied", dict(target_modules=r".*\.self_attn\.(q_proj|o_proj)"), ["q_proj", "o_proj"], {}),
    "an expression with a look ahead":
        ("llama-untied", dict(target_modules=r"^(?!.*(lm_head|\.0\.)).*_proj$"), [".1."], {}),
    "an expression for one layer":
        ("qwen2-tied", dict(target_modules=r"model\.layers\.1\.mlp\.down_proj"), ["1.mlp.down_proj"], {}),
    "names in full":
        ("qwen2-tied", dict(target_modules=["model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj"]),
         ["0.self_attn.q_proj", "1.mlp.up_proj"], {}),
    "ends of names":
        ("llama-untied", dict(target_modules=["0.self_attn.v_proj", "mlp.gate_proj"]), ["0.self_attn.v_proj", "gate_proj"], {}),
    "names of other families": ("llama-untied", dict(target_modules=["q_proj", "c_attn", "query_key_value"]), ["q_proj"], {}),
    "some blocks": ("llama-untied", dict(layers_to_transform=[1]), [".1."], {}),
    "one block, the list named": ("qwen2-tied", dict(layers_to_transform=0, layers_pattern="layers"), [".0."], {}),
    "a name in full whatever the block":
        ("qwen2-tied", dict(layers_to_transform=[0], target_modules=["q_proj", "model.layers.1.mlp.up_proj"]),
         ["0.self_attn.q_proj", "1.mlp.up_proj"], {}),
    "layers left out by name": ("llama-untied", dict(exclude_modules=["down_proj", "0.self_attn.q_proj"]),
                                ["v_proj", "k_proj", "o_proj", "gate_proj", "up_proj", "1.self_attn.q_proj"], {}),
    "layers left out by an expression":
        ("llama-untied", dict(exclude_modules=r".*\.(mlp|0)\..*"), ["1.self_attn"], {}),
    "ranks": ("llama-untied", dict(rank_pattern={"q_proj": 2, r"0\.mlp\..*": 3}), [""],
              {"q_proj": 2, "0.mlp": 3}),
    "one rank that is not r": ("llama-untied", dict(r=16, rank_pattern={".*_proj": 2}), [""], {"": 2}),
    "scales, the first that fits": ("qwen2-tied", dict(alpha_pattern={"v_proj": 3, ".*_proj": 16, "q_proj": 1}), [""], {}),
    "ranks and scales": ("qwen2-tied", dict(rank_pattern={"model.layers.0.self_attn.q_proj": 1},
                                            alpha_pattern={"q_proj": 2}), [""], {"0.self_attn.q_proj": 1}),
    "rank-stabilised": ("llama-untied", dict(use_rslora=True), [""], {}),
    "rank-stabilised with ranks": ("qwen2-tied", dict(use_rslora=True, rank_pattern={"up_proj": 2}), [""], {"up_proj": 2}),
}


def log_probs(model, ids):
    """Log-probability of ids[t + 1] given ids[..=t], in nats, with 9 significant digits."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, :-1]
    chosen = torch.log_softmax(logits, -1)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    return [float(f"{it:.9g}") for it in chosen.tolist()]


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def config_case(name, ids, scratch):
    model, fields, removed = CONFIGS[name]
    folder = shutil.copytree(HERE / "models" / model, scratch / "model")
    config = json.loads((folder / "config.json").read_text())
    config = {k: v for k, v in config.items() if k not in removed} | fields
    (folder / "config.json").write_text(json.dumps(config))
    return dict(name=name, model=model, set=fields, removed=removed, ids=ids, logprobs=log_probs(load(folder), ids))


def adapter_case(name, ids, scratch):
    model, fields, kept, ranks = ADAPTERS[name]
    folder = shutil.copytree(HERE / "models" / model / "adapter", scratch / "adapter")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | fields))
    tensors = load_file(folder / "adapter_model.safetensors")
    tensors = {k: cut(v, k, ranks) for k, v in tensors.items() if any(part in k for part in kept)}
    save_file(tensors, folder / "adapter_model.safetensors")
    peft = PeftModel.from_pretrained(load(HERE / "models" / model), folder).eval()
    own = {k.replace(".default.weight", ".weight") for k in peft.state_dict() if "lora_" in k}
    assert own == set(tensors), (name, own ^ set(tensors))
    return dict(name=name, model=model, set=fields, kept=kept, ranks=ranks, ids=ids, logprobs=log_probs(peft, ids))


def cut(tensor, name, ranks):
    for part, rank in ranks.items():
        if part in name:
            tensor = tensor[:rank] if "lora_A" in name else tensor[:, :rank]
    return tensor.contiguous()


def cases(make, table):
    rng = torch.Generator().manual_seed(11)
    for name in table:
        ids = torch.randint(3, 60, (LENGTH,), generator=rng).tolist()
        with tempfile.TemporaryDirectory() as scratch:
            yield make(name, ids, pathlib.Path(scratch))


if __name__ == "__main__":
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    lines = {"configs": cases(config_case, CONFIGS), "adapters": cases(adapter_case, ADAPTERS)}
    lines = [f'"{k}": [\n' + ",\n".join(map(json.dumps, v)) + "\n]" for k, v in lines.items()]
    OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")
