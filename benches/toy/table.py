"""Tables, differences and curves of the arms of the toy, in Markdown.

    python benches/toy/arms.py --seeds 1 2 3 4 5
    python benches/toy/table.py [--runs runs/toy] [--seeds 1 2 3 4 5] [--plot docs/toy.svg]

Tables need nothing but Python, `--plot` matplotlib. Differences come from `critique-rl compare`: paired over
problems, with an interval over seeds.
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
parser.add_argument("--plot", type=pathlib.Path)
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
    ("stage1_only", "stage1_only"), ("r_refine", "r_refine"), ("no_stage1", "no_stage1"),
    ("r_correction", "r_correction"), ("no_dis", "no_dis"), ("no_kl", "no_kl"), ("no_dis_no_kl", "no_dis_no_kl"),
    ("gated", "gated"), ("kl_to_sft", "kl_to_sft"), ("grpo", "grpo"),
]
print("\n### Two stages less another arm\n")
for folder, name in PAIRS:
    for ending in ("", "@0.7"):
        both = lambda seed: name + ending in SUMMARIES[seed, folder] and METHOD[1] + ending in SUMMARIES[seed, METHOD[0]]
        seeds = [seed for seed in args.seeds if both(seed)]
        if not seeds:
            continue
        place = lambda arm, row: [f"{args.runs}/{seed}/{arm}:{row}{ending}" for seed in seeds]
        command = [args.binary, "compare", "--a", *place(*METHOD), "--b", *place(folder, name), "--markdown"]
        done = subprocess.run(command, text=True, capture_output=True)
        print(f"\n#### {METHOD[1]}{ending} less {name}{ending}\n\n{done.stdout or done.stderr}")

failed = [
    f"seed {seed}: {line}"
    for seed in args.seeds
    if (path := args.runs / str(seed) / "failed.txt").exists()
    for line in path.read_text().splitlines()
]
print("\nRuns that failed: " + ("; ".join(failed) if failed else "none") + ".")

if args.plot:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams["svg.hashsalt"] = "toy"
    plt.rcParams["svg.fonttype"] = "none"
    panels = [
        ("acc_dis_correct", "verdicts on right responses, %"), ("acc_dis_incorrect", "verdicts on wrong responses, %"),
        ("acc_refined", "right refinements, %"),
    ]
    arms = [
        ("two_stages", "stage I, then stage II", "#0072B2"), ("stage1_only", "stage I for as many steps", "#009E73"),
        ("r_refine", "r_refine alone", "#D55E00"), ("r_correction", "r_correction alone", "#CC79A7"),
    ]
    figure, axes = plt.subplots(1, len(panels), figsize=(12, 3.4))
    for axis, (metric, title) in zip(axes, panels):
        for arm, label, colour in arms:
            curves = []
            for seed in args.seeds:
                path = args.runs / str(seed) / arm / "metrics.jsonl"
                if path.exists():
                    lines = [json.loads(line) for line in path.read_text().splitlines()]
                    curves.append([line.get(metric) for line in lines])
            steps = range(min(map(len, curves), default=0))
            points = [(s, [100 * c[s] for c in curves if c[s] is not None]) for s in steps]
            points = [(s + 1, values) for s, values in points if values]
            if not points:
                continue
            # A mean of five steps, since a step has some forty wrong responses.
            smooth = lambda pick: [
                statistics.mean(pick(v) for _, v in points[max(0, i - 2) : i + 3]) for i in range(len(points))
            ]
            at = [s for s, _ in points]
            axis.plot(at, smooth(statistics.mean), color=colour, label=label)
            axis.fill_between(at, smooth(min), smooth(max), color=colour, alpha=0.15, linewidth=0)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("step")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(args.plot, metadata={"Date": None})
    print(f"\nCurves: {args.plot}")
