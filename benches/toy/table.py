"""Tables and differences of the arms of the toy, in Markdown.

    python benches/toy/arms.py --seeds 1 2 3 4 5
    python benches/toy/table.py [--runs runs/toy] [--seeds 1 2 3 4 5]

Needs nothing but Python and the binary: differences come from `critique-rl compare`, paired over problems, with an
interval over seeds, and curves from `critique-rl plot`, which draws the seeds of an arm as one line with a band.
"""
import argparse
import json
import pathlib
import statistics
import subprocess

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs/toy"))
parser.add_argument("--binary", default="target/release/critique-rl")
args = parser.parse_args()

# Row of the table, folder of the arm, row of its summary.
ROWS = [
    ("no critic", "skills", "no_critic"),
    ("before its teacher", "skills", "before_teacher"),
    ("SFT", "skills", "sft"),
    ("stage I", "two_stages", "stage1"),
    ("stage I, then stage II", "two_stages", "stage2"),
    ("stage I for as many steps", "stage1_only", "stage1_only"),
    ("stage II's reward from SFT on", "no_stage1", "no_stage1"),
    ("`r_refine` alone", "r_refine", "r_refine"),
    ("`r_Δ` alone", "r_delta", "r_delta"),
    ("`r_correction` alone", "r_correction", "r_correction"),
    ("stage II without `r_dis`", "no_dis", "no_dis"),
    ("stage II without KL", "no_kl", "no_kl"),
    ("stage II without both", "no_dis_no_kl", "no_dis_no_kl"),
    ("stage II, gated", "gated", "gated"),
    ("stage II, KL to SFT", "kl_to_sft", "kl_to_sft"),
    ("both stages, GRPO", "grpo", "grpo"),
]
CONTROLS = [
    ("always `Correct`", "skills", "always_correct"), ("always `Wrong`", "skills", "always_wrong"),
    ("random verdict", "skills", "random"), ("empty critique", "skills", "empty"),
    ("true verdict alone", "skills", "true_verdict"), ("perfect critique", "skills", "perfect"),
]
COLUMNS = ["acc_refined", "acc_dis_balanced", "acc_dis_correct", "acc_dis_incorrect", "delta_c2i", "delta_i2c"]
HEAD = "| critic | seeds | Acc@Refine | balanced Acc@Dis | on right | on wrong | right made wrong | wrong made right |"
LINE = "| --- |" * 1 + " --- |" * (len(COLUMNS) + 1)


def summary(seed, folder):
    path = args.runs / str(seed) / folder / "eval/summary.json"
    return {row["stage"]: row for row in json.loads(path.read_text())["rows"]} if path.exists() else {}


SUMMARIES = {(seed, folder): summary(seed, folder) for seed in args.seeds for _, folder, _ in ROWS}


def cell(row, name, column):
    if name.startswith("no_critic") and column != "acc_refined":
        return None
    return row.get(column)


def table(rows, ending):
    print(HEAD, LINE, sep="\n")
    for title, folder, name in rows:
        found = [SUMMARIES[seed, folder].get(name + ending) for seed in args.seeds]
        found = [row for row in found if row]
        if not found:
            continue
        cells = [title, str(len(found))]
        for column in COLUMNS:
            values = [cell(row, name, column) for row in found]
            if any(value is None for value in values):
                cells.append("–")
                continue
            values = [100 * value for value in values]
            cells.append(f"{statistics.mean(values):.1f} ({min(values):.1f} to {max(values):.1f})")
        print("| " + " | ".join(cells) + " |")


for title, ending in (("Greedy", ""), ("Sampled, T = 0.7", "@0.7")):
    print(f"\n### {title}: mean of the seeds (lowest to highest)\n")
    table(ROWS, ending)
    print("\nCritics that are no models:\n")
    table(CONTROLS, ending)

METHOD = ("two_stages", "stage2")
PAIRS = [
    ("stage1_only", "stage1_only"), ("r_refine", "r_refine"), ("no_dis_no_kl", "no_dis_no_kl"),
    ("no_stage1", "no_stage1"), ("r_delta", "r_delta"), ("r_correction", "r_correction"), ("no_dis", "no_dis"), ("no_kl", "no_kl"),
    ("gated", "gated"), ("kl_to_sft", "kl_to_sft"), ("grpo", "grpo"),
]
print("\n### Differences in points, with 95 % intervals over seeds (Student; of the hierarchical bootstrap in round brackets)\n")
METRICS = ["acc_refined", "acc_dis_balanced", "acc_dis_correct", "acc_dis_incorrect"]
print("| two stages less … | T | seeds | Acc@Refine | balanced Acc@Dis | on right | on wrong |\n| --- | --- | --- | --- | --- | --- | --- |")


def difference(over, metric):
    """`+5.4 [+1.7, +9.0] (+2.9, +8.0)`, in points."""
    found = next(it for it in over["differences"] if it["metric"] == metric)
    pair = lambda interval: ", ".join(f"{100 * value:+.1f}" for value in interval)
    return f"{100 * found['difference']:+.1f} [{pair(found['ci95_t'])}] ({pair(found['ci95'])})"


for folder, name in PAIRS:
    for ending, temperature in (("", "0"), ("@0.7", "0.7")):
        both = lambda seed: name + ending in SUMMARIES[seed, folder] and METHOD[1] + ending in SUMMARIES[seed, METHOD[0]]
        seeds = [seed for seed in args.seeds if both(seed)]
        if len(seeds) < 2:
            continue
        place = lambda arm, row: [f"{args.runs}/{seed}/{arm}:{row}{ending}" for seed in seeds]
        command = [args.binary, "compare", "--a", *place(*METHOD), "--b", *place(folder, name), "--json"]
        done = subprocess.run(command, text=True, capture_output=True, check=True)
        over = json.loads(done.stdout)["over_seeds"]
        cells = " | ".join(difference(over, metric) for metric in METRICS)
        print(f"| `{name}` | {temperature} | {len(seeds)} | {cells} |")

failed = [
    f"seed {seed}: {line}"
    for seed in args.seeds
    if (path := args.runs / str(seed) / "failed.txt").exists()
    for line in path.read_text().splitlines()
]
print("\nRuns that failed: " + ("; ".join(failed) if failed else "none") + ".")
