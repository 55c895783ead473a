"""Kills and faults at chosen system calls: every one of them, in turn.

    cargo build --release
    python tests/faults/faults.py [--binary target/release/critique-rl] [--every N] [--part I/K] [--faults kill full io]
    python tests/faults/faults.py --random KILLS [--seed S] [--lora]

A small run is trained alone. Then, for the first, second, third … call of each kind that changes the disk (write,
rename, flush, removal, new folder), it is trained again with a fault at that call, by strace: `kill` ends the process
there (SIGKILL), `full` lets that call and all like it that follow fail for want of room (ENOSPC), `io` lets one fail
(EIO). A fault must end in an error that names a file, or be of no consequence; the same command, without the fault,
must then go on to the files and metrics, times and memory aside, of the run that was left alone. `--twice` injects the
same fault into the resuming command, too. `--random` kills at moments that nobody chose instead, each run up to four
times before it may end. Needs Linux, Python, and strace (Debian's `strace`) but for `--random`.
"""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

RUN = """seed = 11
out = "OUT"
task = { name = "arithmetic", operations = 2, train = 60, validation = 12, test = 8 }

[models]
base = { new = { d_model = 32, layers = 1, heads = 2, d_ff = 64, context = 128 } }
actor = { from = "base" }
critic = { from = "base" }

[rollout]
problems = 4
group_size = 2
response = { temperature = 0.7, max_new_tokens = 8 }
critique = { temperature = 1.0, max_new_tokens = 12 }
refinement = { temperature = 0.0, max_new_tokens = 8 }

[eval]
max_new_tokens = 12
controls = true
temperatures = [0.0, 1.0]

[save]
every = 1
keep = 2

[[stages]]
kind = "sft"
name = "critiques"
model = "critic"
steps = 2
data = [{ kind = "clean_critiques", rows = 4 }]
lr = 2e-3
eval_as = "sft"
gates = [{ measure = "discriminability", at_least = 0.0 }]

[[stages]]
kind = "rl"
name = "stage1"
steps = 3
rewards = { discriminability = 1.0 }
advantage = { reinforce = { baseline = "running_mean" } }
kl_coef = 0.01
lr = 1e-4
minibatch = 4
validate_every = 2
eval_as = "stage1"
"""

# An adapter on a model in a folder: what the run above leaves.
LORA = """seed = 12
out = "OUT"
task = { name = "arithmetic", operations = 2, train = 60, validation = 12, test = 8 }

[models]
actor = { path = "base/stages/critiques" }
critic = { path = "base/stages/critiques", lora = { r = 2, alpha = 4 } }

[rollout]
problems = 4
group_size = 2
response = { temperature = 0.7, max_new_tokens = 8 }
critique = { temperature = 1.0, max_new_tokens = 12 }
refinement = { temperature = 0.0, max_new_tokens = 8 }

[eval]
max_new_tokens = 12

[save]
every = 1
keep = 2

[[stages]]
kind = "sft"
name = "critiques"
model = "critic"
steps = 2
data = [{ kind = "clean_critiques", rows = 4 }]
lr = 2e-3

[[stages]]
kind = "rl"
name = "stage1"
steps = 2
rewards = { discriminability = 1.0 }
kl_coef = 0.01
lr = 1e-3
validate_every = 1

[[stages]]
kind = "rl"
name = "stage2"
start = "stage1-best"
reference = "stage1-best"
steps = 2
rewards = { refinement = 1.0, discriminability = 0.9 }
kl_coef = 0.01
lr = 1e-3
eval_as = "stage2"
"""

# Calls that change the disk. Writes to the terminal are among the first kind: their faults reach nobody who could be
# told, so no message is asked for there.
KINDS = {
    "write": "write,pwrite64,writev",
    "rename": "rename,renameat,renameat2",
    "sync": "fsync,fdatasync",
    "remove": "unlink,unlinkat,rmdir",
    "folder": "mkdir,mkdirat",
}
FAULTS = {"kill": "signal=KILL:when={n}", "full": "error=ENOSPC:when={n}+", "io": "error=EIO:when={n}"}

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--binary", default="target/release/critique-rl")
parser.add_argument("--every", type=int, default=1, help="of the calls of a kind, this one in N")
parser.add_argument("--part", default="1/1", help="I/K: the I-th of K parts, for several processes")
parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS))
parser.add_argument("--twice", action="store_true")
parser.add_argument("--lora", action="store_true", help="a run that trains an adapter, and begins at a best step")
parser.add_argument("--random", type=int, metavar="KILLS")
parser.add_argument("--seed", type=int, default=1)
args = parser.parse_args()
part, parts = map(int, args.part.split("/"))
binary = os.path.abspath(args.binary)
env = {key: value for key, value in os.environ.items() if not key.startswith("CRITIQUE_RL_")} | {"NO_COLOR": "1"}


def train(folder, out, inject=None):
    """Exit code and what it said."""
    command = [binary, "train", "run.toml", f"out={out}", "threads=1"]
    if inject:
        calls, fault = inject
        # Signals are not injected where a filter decides which calls strace sees.
        fast = [] if "signal" in fault else ["--seccomp-bpf"]
        command = ["strace", "-f", "-qq", "-o", "/dev/null", *fast, "-e", f"trace={calls}",
                   "-e", f"inject={calls}:{fault}", *command]
    done = subprocess.run(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    return done.returncode, done.stderr.decode(errors="replace")


def results(root):
    """What must be equal: every file but what holds the clock, and metrics without it."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_dir() or name in ("config.resolved.toml", "started.json"):
            continue
        found[name] = path.read_bytes()
    lines = []
    for line in found.pop("metrics.jsonl").splitlines():
        metrics = json.loads(line)
        lines.append({k: v for k, v in metrics.items() if not k.startswith(("time", "memory"))})
    return found, lines


def calls_of(folder, calls):
    """How often the run makes such a call."""
    log = folder / "calls"
    subprocess.run(["strace", "-f", "-qq", "-o", log, "--seccomp-bpf", "-e", f"trace={calls}",
                    binary, "train", "run.toml", "out=counted", "threads=1"],
                   cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    shutil.rmtree(folder / "counted")
    return sum(1 for line in log.read_text(errors="replace").splitlines() if re.search(r"\w+\(", line))


def check(folder, what, unbroken):
    """What is wrong once the run in `broken` has gone on to its end."""
    code, said = train(folder, "broken")
    if code != 0:
        return f"{what}: it does not go on: {said[-400:]}"
    found = results(folder / "broken")
    shutil.rmtree(folder / "broken")
    if found == unbroken:
        return None
    files = unbroken[0].keys() | found[0].keys()
    differ = [name for name in files if unbroken[0].get(name) != found[0].get(name)] or ["metrics"]
    return f"{what}: differs from the run left alone in {differ[:3]}"


def killed_at_random(folder, unbroken, alone):
    """Kills at random moments: how many, in how many runs, and what went wrong."""
    draw = random.Random(args.seed)
    kills, runs, failures = 0, 0, []
    while kills < args.random:
        for _ in range(4):
            command = [binary, "train", "run.toml", "out=broken", "threads=1"]
            child = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(alone * draw.random())
            if child.poll() is not None:
                break
            child.kill()
            child.wait()
            kills += 1
        runs += 1
        failures.append(check(folder, f"run {runs}, after kill {kills}", unbroken))
    return kills, runs, [failure for failure in failures if failure]


def faults(folder, unbroken):
    """A fault at each call in turn: how many of each, how many of them without consequence, what went wrong."""
    done, no_harm, failures = dict.fromkeys(args.faults, 0), dict.fromkeys(args.faults, 0), []
    for kind, calls in KINDS.items():
        count = calls_of(folder, calls)
        for fault in args.faults:
            for n in range(1, count + 1, args.every):
                if (n // args.every) % parts != part - 1:
                    continue
                what = f"{fault} at {kind} {n} of {count}"
                for _ in range(2 if args.twice else 1):
                    code, said = train(folder, "broken", (calls, FAULTS[fault].format(n=n)))
                    done[fault] += 1
                    no_harm[fault] += code == 0
                    if code == 0 and results(folder / "broken") != unbroken:
                        failures.append(f"{what}: exit code 0, and not what a run left alone leaves")
                    # An error must say what could not be done; a panic is none.
                    silent = kind != "write" and "error" not in said
                    if fault == "kill" and code not in (-9, 137) and not args.twice:
                        failures.append(f"{what}: exit code {code}: {said[-300:]}")
                    if fault != "kill" and code != 0 and ("panicked" in said or silent):
                        failures.append(f"{what}: exit code {code} without an error: {said[-300:]}")
                failures.append(check(folder, what, unbroken))
        failures = [failure for failure in failures if failure]
        print(f"{kind}: {count} calls; so far {done}, {len(failures)} failures, {time.time() - begin:.0f} s", flush=True)
    return done, no_harm, failures


begin = time.time()
with tempfile.TemporaryDirectory(prefix="critique-faults-") as name:
    folder = pathlib.Path(name).resolve()
    (folder / "run.toml").write_text(RUN.replace("OUT", "unbroken"))
    if args.lora:
        code, said = train(folder, "base")
        assert code == 0, said
        (folder / "run.toml").write_text(LORA.replace("OUT", "unbroken"))
    alone = time.time()
    code, said = train(folder, "unbroken")
    alone = time.time() - alone
    assert code == 0, said
    unbroken = results(folder / "unbroken")
    if args.random:
        kills, runs, failures = killed_at_random(folder, unbroken, alone)
        told = f"{kills} kills at random in {runs} runs of {alone:.2f} s"
    else:
        done, no_harm, failures = faults(folder, unbroken)
        told = "faults: " + ", ".join(f"{done[f]} {f} ({no_harm[f]} without consequence)" for f in args.faults)
for failure in failures:
    print(failure)
print(f"{told}, in {time.time() - begin:.0f} s; {len(failures)} failures")
sys.exit(bool(failures))
