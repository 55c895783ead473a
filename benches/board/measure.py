"""How the board bears a large run: makes a folder of 10,000 steps and 1,000,000 rollouts, serves it, and
measures how long it takes to open, what it holds in memory, and how long filters take.

    python benches/board/measure.py --binary target/release/critique-rl --folder /tmp/large

Needs 2 GB of disk below the folder; a run that is there is measured again as it is.
"""

import argparse
import json
import pathlib
import random
import subprocess
import time
import urllib.parse
import urllib.request

CONFIG = """
seed = 1
out = "runs/large"
task = { name = "arithmetic" }
models.base.new = { d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 64 }

[[stages]]
kind = "rl"
name = "stage1"
model = "base"
steps = 10000
lr = 1e-4
kl_coef = 0.01
rewards = { discriminability = 1.0 }
"""

WORDS = "the sum of these numbers is right wrong carry digit ten add subtract therefore step first then final check".split()


# Texts are drawn from a pool: a million of their own would take longer to make than to measure.
POOL = {}


def text(draw, words):
    if words not in POOL:
        POOL[words] = [" ".join(draw.choices(WORDS, k=words)) for _ in range(500)]
    return POOL[words][int(draw.random() * 500)]


def rollout(draw, step, at):
    problem = f"arithmetic-train-{(step * 12 + at // 8) % 5000:05}"
    right, says, after = draw.random() < 0.5, draw.random() < 0.6, draw.random() < 0.6
    name = {True: "correct", False: "wrong"}
    return dict(
        version=1, id=f"stage1/{step}/{problem}/0.{at % 8}", stage="stage1", step=step, problem=problem,
        question=text(draw, 20), gold="4", response=text(draw, 60), verdict=name[right], score=float(right),
        critique=text(draw, 90), judgment=name[says], judged_rightly=right == says,
        refinements=[dict(text=text(draw, 60), verdict=name[after], score=float(after))],
        reward=float(right == says), rewards={"discriminability": float(right == says)}, advantage=draw.uniform(-1, 1),
        tokens=dict(response=60, critique_prompt=90, critique=90, refinements=[60]), truncated=False,
        seeds=dict(response="0", critique="0", refinements=["0"]))


def make(folder, steps, a_step):
    run = folder / "large"
    if (run / "done").exists():
        return
    rollouts = run / "rollouts/stage-stage1"
    rollouts.mkdir(parents=True, exist_ok=True)
    (run / "config.resolved.toml").write_text(CONFIG)
    draw = random.Random(1)
    with open(run / "metrics.jsonl", "w") as metrics:
        for step in range(steps):
            lines = [json.dumps(rollout(draw, step, at), separators=(",", ":")) for at in range(a_step)]
            (rollouts / f"step-{step:06}.jsonl").write_text("\n".join(lines) + "\n")
            numbers = {f"rewards/r{at}/mean": draw.random() for at in range(30)}
            metrics.write(json.dumps(dict(step=step + 1, stage="stage1", stage_step=step + 1, reward=draw.random(), **numbers)) + "\n")
    # A phrase that one rollout in 100,000 has.
    for step in range(0, steps, max(1, steps // 10)):
        path = rollouts / f"step-{step:06}.jsonl"
        path.write_text(path.read_text().replace('"critique":"', '"critique":"needle in the hay ', 1))
    (run / "done").write_text("")


def timed(base, path, **pairs):
    url = f"{base}{path}?{urllib.parse.urlencode(dict(run='large', **pairs))}"
    begin = time.monotonic()
    with urllib.request.urlopen(url) as answer:
        body = answer.read()
    seconds = time.monotonic() - begin
    told = json.loads(body) if body[:1] == b"{" else {}
    found = f", {told['found']:,} found" if "found" in told else ""
    print(f"{seconds:8.3f} s  {path} {pairs or ''}{found}, {len(body) / 1e6:.2f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--rollouts", type=int, default=100, help="of a step")
    args = parser.parse_args()
    make(args.folder, args.steps, args.rollouts)
    board = subprocess.Popen([args.binary, "board", str(args.folder), "--port", "0"], stdout=subprocess.PIPE, text=True)
    base = board.stdout.readline().strip().rstrip("/")
    try:
        timed(base, "/view")
        timed(base, "/choices")  # builds the index
        timed(base, "/choices")
        timed(base, "/rollouts", count=50)
        timed(base, "/rollouts", count=50, **{"from": 900_000})
        timed(base, "/rollouts", count=50, transition="wrong \u2192 right", rewardFrom=0.5, stepFrom=5000)
        timed(base, "/rollouts", count=50, sort="advantage")
        timed(base, "/rollouts", count=50, text="needle in the hay")
        timed(base, "/rollouts", count=50, text="needle in the hay", **{"from": 5})
        timed(base, "/rollouts", count=50, text="therefore")
        timed(base, "/rollout", id="stage1/5000/arithmetic-train-00000/0.3")
        status = pathlib.Path(f"/proc/{board.pid}/status").read_text()
        print([line for line in status.splitlines() if line.startswith(("VmHWM", "VmRSS"))])
    finally:
        board.terminate()


if __name__ == "__main__":
    main()
