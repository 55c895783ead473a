"""The arms of the toy over seeds: trains what is missing, and lists what failed.

    cargo build --release
    python benches/toy/arms.py --seeds 1 2 3 --arms two_stages stage1_only r_refine [--runs runs/toy]

For each seed the skills come first (`configs/toy/skills.toml`), then every arm (`configs/toy/ARM.toml`), into
RUNS/SEED/ARM. A run that was stopped goes on; one that is complete is left alone; one that fails (a gate that is
not met, say) is named, kept in `failed.txt` of its seed, and the arms that need it are counted as failed too.
Needs nothing but Python.
"""
import argparse
import json
import pathlib
import subprocess
import time

MAIN = ["two_stages", "stage1_only", "r_refine"]
OTHERS = ["no_stage1", "r_delta", "r_correction", "no_dis", "no_kl", "no_dis_no_kl", "gated", "kl_to_sft", "grpo"]

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
parser.add_argument("--arms", nargs="*", default=MAIN + OTHERS)
parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs/toy"))
parser.add_argument("--binary", default="target/release/critique-rl")
parser.add_argument("--set", nargs="*", default=[], help="settings that overrule those of every run file")
args = parser.parse_args()


def start(arm):
    """The model that an arm's run file begins with, below the seed's folder."""
    for line in pathlib.Path(f"configs/toy/{arm}.toml").read_text().splitlines():
        if line.startswith("critic = { path"):
            return line.split('"')[1].removeprefix("runs/toy/1/")
    return None


def train(seed, arm):
    """Whether the arm's run is complete, after training what is missing."""
    folder = args.runs / str(seed) / arm
    if (folder / "done").exists():
        return True
    settings = [f"seed={seed}", f"out={folder}", *args.set]
    if arm != "skills":
        critic = args.runs / str(seed) / start(arm)
        if not critic.is_dir():
            return fail(seed, arm, f"{critic} is missing")
        actor = args.runs / str(seed) / "skills/stages/actor"
        settings += [f"models.actor.path={actor}", f"models.critic.path={critic}"]
    begin = time.time()
    done = subprocess.run(
        [args.binary, "train", f"configs/toy/{arm}.toml", *settings],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log.txt").write_text(done.stdout)
    if done.returncode != 0:
        return fail(seed, arm, done.stdout.strip().splitlines()[-1:])
    (folder / "done").write_text(f"{time.time() - begin:.0f} s\n")
    rows = json.loads((folder / "eval/summary.json").read_text())["rows"]
    for row in rows:
        if "@" not in row["stage"] and row["stage"] not in CONTROLS and not row["stage"].endswith("-best"):
            print(f"seed {seed} {arm:14} {row['stage']:14} {line(row)}", flush=True)
    print(f"seed {seed} {arm}: {time.time() - begin:.0f} s", flush=True)
    return True


CONTROLS = {"always_correct", "always_wrong", "random", "true_verdict", "perfect", "empty"}


def line(row):
    figures = ["acc_refined", "acc_dis_balanced", "acc_dis_correct", "acc_dis_incorrect", "delta_c2i", "delta_i2c"]
    value = lambda name: "    –" if row.get(name) is None else f"{100 * row[name]:5.1f}"
    return " ".join(value(name) for name in figures)


def fail(seed, arm, why):
    print(f"seed {seed} {arm}: FAILED: {why}", flush=True)
    with open(args.runs / str(seed) / "failed.txt", "a") as file:
        file.write(f"{arm}: {why}\n")
    return False


print("seed arm            row            Acc@Refine, Acc@Dis balanced / right / wrong, right made wrong, wrong made right")
for seed in args.seeds:
    (args.runs / str(seed)).mkdir(parents=True, exist_ok=True)
    if train(seed, "skills"):
        for arm in args.arms:
            train(seed, arm)
