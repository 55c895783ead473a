"""The quickstart over several seeds: tables of each and of their mean and spread, in Markdown.

    cargo build --release
    python benches/quickstart/seeds.py [--seeds 1 2 3] [--runs runs/seeds] [--binary target/release/critique-rl]

Runs `critique-rl quickstart --seed N --out RUNS/N` for each seed whose folder is not there yet, and reads
`eval/summary.json` of all. Needs nothing but Python.
"""
import argparse
import json
import pathlib
import statistics
import subprocess

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs/seeds"))
parser.add_argument("--binary", default="target/release/critique-rl")
args = parser.parse_args()

NAMES = {
    "no_critic": "no critic", "before_teacher": "before its teacher", "sft": "SFT", "stage1": "stage I",
    "stage1_only": "stage I only", "stage2": "stage II",
    "always_correct": "always `Correct`", "always_wrong": "always `Wrong`", "random": "random verdict",
    "empty": "empty critique", "true_verdict": "true verdict alone", "perfect": "perfect critique",
}
COLUMNS = ["acc_refined", "acc_dis_balanced", "acc_dis_correct", "acc_dis_incorrect", "delta_c2i", "delta_i2c"]
HEAD = "| critic | Acc@Refine | balanced Acc@Dis | on right | on wrong | right made wrong | wrong made right |"
LINE = "| --- |" + " --- |" * len(COLUMNS)


def rows(seed):
    folder = args.runs / str(seed)
    summary = folder / "eval" / "summary.json"
    if not summary.exists():
        subprocess.run([args.binary, "quickstart", "--seed", str(seed), "--out", str(folder)], check=True)
    return {row["stage"]: row for row in json.loads(summary.read_text())["rows"]}


def percent(value):
    return "–" if value is None else f"{100 * value:.1f}"


def spread(values):
    if any(value is None for value in values):
        return "–"
    values = [100 * value for value in values]
    return f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def cell(row, column):
    # Without a critic nothing changes, so these say nothing.
    if row["stage"].startswith("no_critic") and column != "acc_refined":
        return None
    return row.get(column)


def table(names, seeds):
    print(HEAD, LINE, sep="\n")
    for stage, row in names:
        values = [[cell(run[stage], column) for run in seeds] for column in COLUMNS]
        print(f"| {row} | " + " | ".join(map(spread, values)) + " |")


runs = {seed: rows(seed) for seed in args.seeds}
stages = list(next(iter(runs.values())))
label = lambda stage: NAMES.get(stage.split("@")[0], stage.split("@")[0].replace("_", " "))
trained = ["no_critic", "before_teacher", "sft", "stage1", "stage1_only", "stage2"]
for title, ending in (("Greedy", ""), ("Sampled, T = 0.7", "@0.7")):
    of = [s for s in stages if s.endswith(ending) and ("@" in s) == bool(ending)]
    print(f"\n### {title}: mean of {len(runs)} seeds (lowest to highest)\n")
    table([(s, label(s)) for s in of if s.split("@")[0] in trained], runs.values())
    print("\nCritics that are no models:\n")
    table([(s, label(s)) for s in of if s.split("@")[0] not in trained], runs.values())
for seed, run in runs.items():
    print(f"\n### Seed {seed}, greedy, with 95 % intervals\n\n{HEAD}\n{LINE}")
    for stage in trained:
        row = run[stage]
        cells = []
        for column in COLUMNS:
            value = cell(row, column)
            interval = row["ci95"].get(column)
            cells.append(percent(value) + (f" [{percent(interval[0])}, {percent(interval[1])}]"
                                           if value is not None and interval else ""))
        print(f"| {label(stage)} | " + " | ".join(cells) + " |")
