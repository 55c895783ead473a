"""How time grows with the work: tokens, group size, share of the prompt, length, vocabulary. A table and a plot.

    cargo build --release
    python benches/growth/growth.py [--binary target/release/critique-rl] [--threads 2] [--out docs/growth.svg]

Makes models of random weights under target/growth, runs `critique-rl bench` on them, and prints a Markdown table of each
series: measured seconds, and how they compare with what the arithmetic says, from the smallest work of the series on.
"Arithmetic" counts two operations for each weight and token (six in training), and four for each pair of a token and a
key it sees, each head dimension and layer (twelve in training).
"""
# Made with numpy 2.4.6, safetensors 0.8.0, matplotlib 3.10.
import argparse
import json
import pathlib
import subprocess

import numpy as np
from safetensors.numpy import save_file

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--binary", default="target/release/critique-rl")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--steps", type=int, default=3)
parser.add_argument("--out", default="docs/growth.svg")
args = parser.parse_args()

D, LAYERS, HEADS, KV, FF = 128, 4, 4, 2, 512


def model(vocab):
    """A Qwen2 of 0.98 M parameters and a vocabulary."""
    folder = pathlib.Path(f"target/growth/{vocab}")
    if (folder / "model.safetensors").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    config = dict(model_type="qwen2", architectures=["Qwen2ForCausalLM"], hidden_size=D, intermediate_size=FF,
                  num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=KV, vocab_size=vocab,
                  max_position_embeddings=4096, tie_word_embeddings=True, rms_norm_eps=1e-6, rope_theta=1e6,
                  hidden_act="silu", torch_dtype="float32", eos_token_id=1)
    (folder / "config.json").write_text(json.dumps(config))
    rng = np.random.default_rng(0)
    normal = lambda *shape: (rng.standard_normal(shape) * 0.02).astype(np.float32)
    kv = D // HEADS * KV
    tensors = {"model.embed_tokens.weight": normal(vocab, D), "model.norm.weight": np.ones(D, np.float32)}
    for i in range(LAYERS):
        at = f"model.layers.{i}."
        for name, out, into in (("self_attn.q_proj", D, D), ("self_attn.k_proj", kv, D), ("self_attn.v_proj", kv, D),
                                ("self_attn.o_proj", D, D), ("mlp.gate_proj", FF, D), ("mlp.up_proj", FF, D),
                                ("mlp.down_proj", D, FF)):
            tensors[f"{at}{name}.weight"] = normal(out, into)
            if name[-6] in "qkv" and "self" in name and "o_proj" not in name:
                tensors[f"{at}{name}.bias"] = np.zeros(out, np.float32)
        for name in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"{at}{name}.weight"] = np.ones(D, np.float32)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def bench(what, vocab=512, **options):
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    command = [args.binary, "bench", what, f"--model={model(vocab)}", f"--threads={args.threads}",
               f"--steps={args.steps}", "--json", *flags]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def weights(vocab):
    kv = D // HEADS * KV
    return LAYERS * (2 * D * D + 2 * D * kv + 3 * D * FF) + vocab * D


def forward(rows, keys, vocab=512):
    """Operations of a forward pass over `rows` tokens that see `keys` keys on average."""
    return rows * (2 * weights(vocab) + 4 * keys * D * LAYERS)


def step(prompts, group, prompt, new):
    """Operations of an RLOO step in which a prompt is computed once for its group: sampling, reference, training."""
    rows = prompts * (prompt + group * (new - 1))
    keys = (prompt * prompt / 2 + group * new * (prompt + new / 2)) / (prompt + group * new)
    return 5 * forward(rows, keys)


SERIES = {
    "training, number of tokens": (
        "sequences of 144", [16, 32, 64, 128, 256],
        lambda n: bench("train", batch=n, tokens=144), lambda n: 3 * forward(n * 144, 72)),
    "training, length of a sequence": (
        "tokens, 8,192 in all", [64, 128, 256, 512, 1024, 2048],
        lambda n: bench("train", batch=8192 // n, tokens=n), lambda n: 3 * forward(8192, n / 2)),
    "training, vocabulary": (
        "words", [512, 4096, 32768, 151936],
        lambda n: bench("train", vocab=n, batch=16, tokens=144), lambda n: 3 * forward(16 * 144, 72, n)),
    "RLOO step, size of the group": (
        "completions of each of 8 prompts", [2, 4, 8, 16],
        lambda n: bench("rloo-step", prompts=8, group=n, prompt_tokens=48, new_tokens=96), lambda n: step(8, n, 48, 96)),
    "RLOO step, length of the prompt": (
        "tokens before 8 x 4 x 64", [32, 128, 512, 1024],
        lambda n: bench("rloo-step", prompts=8, group=4, prompt_tokens=n, new_tokens=64), lambda n: step(8, 4, n, 64)),
    "sampling, length of a completion": (
        "tokens, 16 at once", [64, 256, 1024, 2048],
        lambda n: bench("decode", batch=16, prompt_tokens=48, new_tokens=n), lambda n: 16 * forward(48 + n, (48 + n) / 2)),
}

curves = {}
for name, (unit, sizes, run, operations) in SERIES.items():
    print(f"\n{name}\n\n| {unit} | seconds | times the first | arithmetic, times the first | 10^9 operations a second |")
    print("| --- | --- | --- | --- | --- |")
    measured = [(size, run(size)["step_s"], operations(size)) for size in sizes]
    _, first, base = measured[0]
    for size, seconds, work in measured:
        print(f"| {size:,} | {seconds:.3f} | {seconds / first:.2f} | {work / base:.2f} | {work / seconds / 1e9:.0f} |",
              flush=True)
    curves[name] = [(size, seconds / first, work / base) for size, seconds, work in measured]

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

plt.rcParams["svg.hashsalt"] = "growth"
figure, axes = plt.subplots(2, 3, figsize=(11, 6.4), constrained_layout=True)
for axis, (name, points) in zip(axes.flat, curves.items()):
    sizes, seconds, work = zip(*points)
    axis.loglog(sizes, work, "--", color="#888888", label="arithmetic")
    axis.loglog(sizes, seconds, "o-", color="#1f6feb", label="measured")
    axis.set_title(name, fontsize=10)
    axis.set_xlabel(SERIES[name][0], fontsize=9)
    axis.set_xticks(sizes, [f"{s:,}" for s in sizes], fontsize=8)
    axis.minorticks_off()
    axis.grid(alpha=0.3)
axes[0][0].set_ylabel("times the first")
axes[1][0].set_ylabel("times the first")
axes[0][0].legend(fontsize=9)
figure.savefig(args.out, metadata={"Date": None})
print(f"\nwrote {args.out}")
