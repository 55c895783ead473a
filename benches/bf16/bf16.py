"""Weights in bf16 beside weights in f32: a table of docs/performance.md.

    cargo build --release
    python benches/bf16/bf16.py MODEL_DIR ... [--threads 2] [--rounds 3] [--steps 2]

Runs `critique-rl bench` on each model with either type by turns and compares medians. Needs nothing but Python. The
machine should be quiet: the load before the first row is printed.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("models", type=pathlib.Path, nargs="+")
parser.add_argument("--binary", default="target/release/critique-rl")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--steps", type=int, default=2)
args = parser.parse_args()

ROWS = [
    ("log-probs, 16 × 144", ["logprobs", "--batch=16", "--tokens=144"]),
    ("sampling, 1 at once", ["decode", "--batch=1"]),
    ("sampling, 16 at once", ["decode", "--batch=16"]),
    ("sampling, 64 at once", ["decode", "--batch=64"]),
    ("training an adapter of rank 16, 8 × 144", ["train", "--batch=8", "--tokens=144", "--lora=16"]),
]


def run(model, flags, dtype):
    command = [args.binary, "bench", *flags, f"--model={model}", f"--dtype={dtype}", "--json",
               f"--threads={args.threads}", f"--steps={args.steps}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


print(f"load before: {os.getloadavg()[0]:.2f}\n")
print("| model | what | f32, tokens/s | bf16, tokens/s | bf16 / f32 | memory, f32 / bf16 |")
print("| --- | --- | --- | --- | --- | --- |")
for model in args.models:
    for what, flags in ROWS:
        rounds = [[run(model, flags, dtype) for dtype in ("f32", "bf16")] for _ in range(args.rounds)]
        speed = [statistics.median(both[side]["tok_s"] for both in rounds) for side in (0, 1)]
        memory = [max(both[side]["peak_rss_mb"] for both in rounds) for side in (0, 1)]
        print(f"| {model.name} | {what} | {speed[0]:,.0f} | {speed[1]:,.0f} | {speed[1] / speed[0]:.2f} | "
              f"{memory[0]:,.0f} / {memory[1]:,.0f} MB |", flush=True)
