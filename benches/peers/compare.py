"""Ours and the peers side by side: the table of docs/performance.md.

    cargo build --release
    python benches/peers/compare.py [--python .venv/bin/python] [--models target/peers] [--rows rloo train ...]
        [--threads 2] [--rounds 2] [--steps 3]

Each row runs our command and the peer's in turn, `--rounds` times, each process timing `--steps` repetitions after one
that it does not count, and compares the medians. Needs the folders T and S of make_model.py under --models, with GGUF
files for llama.cpp. The machine should be quiet: the load before the first row is printed.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--python", default=".venv/bin/python")
parser.add_argument("--binary", default="target/release/critique-rl")
parser.add_argument("--models", type=pathlib.Path, default=pathlib.Path("target/peers"))
parser.add_argument("--rows", nargs="*", default=[])
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=2)
parser.add_argument("--steps", type=int, default=3)
args = parser.parse_args()
HERE = pathlib.Path(__file__).parent


def ours(what, size, *flags):
    return [args.binary, "bench", what, f"--model={args.models / size}", "--json", *flags]


def peer(script, size, *flags):
    return [args.python, str(HERE / script), str(args.models / size), *flags]


def rows():
    for size in "T", "S":
        step = ours("rloo-step", size)
        yield f"rloo {size}", "TRL, f32", step, peer("trl_step.py", size), "step_s"
        if size == "S":
            yield f"rloo {size} bf16", "TRL, bf16", step, peer("trl_step.py", size, "--dtype=bf16"), "step_s"
        train = ours("train", size)
        yield f"train {size}", "PyTorch, f32", train, peer("torch_model.py", size, "--what=train"), "tok_s"
        yield (f"train {size} bf16", "PyTorch, bf16", train,
               peer("torch_model.py", size, "--what=train", "--dtype=bf16"), "tok_s")
        score = ours("logprobs", size)
        yield f"logprobs {size}", "PyTorch, f32", score, peer("torch_model.py", size, "--what=score"), "tok_s"
        yield (f"logprobs {size} bf16", "PyTorch, bf16", ours("logprobs", size, "--dtype=bf16"),
               peer("torch_model.py", size, "--what=score", "--dtype=bf16"), "tok_s")
        yield (f"decode {size} 64 bf16", "transformers.generate, bf16",
               ours("decode", size, "--batch=64", "--dtype=bf16"),
               peer("hf_generate.py", size, "--batch=64", "--dtype=bf16"), "tok_s")
        yield (f"decode {size} 64 transformers", "transformers.generate", ours("decode", size, "--batch=64"),
               peer("hf_generate.py", size, "--batch=64"), "tok_s")
        for batch in 1, 16, 64:
            yield (f"decode {size} {batch} llama.cpp", "llama.cpp, f32, AVX2 wheel",
                   ours("decode", size, f"--batch={batch}"),
                   peer("llamacpp_generate.py", size, f"--batch={batch}"), "tok_s")
        yield (f"decode {size} 1 mistral.rs", "mistral.rs, f32", ours("decode", size, "--batch=1"),
               peer("mistralrs_generate.py", size, "--batch=1", "--kv=f32"), "tok_s")


def run(command):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    command = [*command, f"--threads={args.threads}", f"--steps={args.steps}"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def number(value, unit):
    return f"{value:.3f} s" if unit == "step_s" else f"{value:,.0f} tokens/s"


print(f"load before: {os.getloadavg()[0]:.2f}\n")
print("| what | ours | peer | | ours / peer | memory, ours / peer |\n| --- | --- | --- | --- | --- | --- |")
for name, who, mine, theirs, unit in rows():
    if args.rows and not any(name.startswith(row) for row in args.rows):
        continue
    both = [(run(mine), run(theirs)) for _ in range(args.rounds)]
    median = lambda side, key: statistics.median(result[side][key] for result in both)
    a, b = median(0, unit), median(1, unit)
    ratio = b / a if unit == "step_s" else a / b
    memory = [max(result[side]["peak_rss_mb"] for result in both) for side in (0, 1)]
    print(f"| {name} | {number(a, unit)} | {number(b, unit)} | {who} | {ratio:.2f} | "
          f"{memory[0]:,.0f} / {memory[1]:,.0f} MB |", flush=True)
