"""How often help that mends a wrong response is not the right solution itself.

    python benches/toy/arms.py --seeds 1 2 3 4 5
    python benches/toy/help.py [--runs runs/toy] [--seeds 1 2 3 4 5]

Reads the rollouts of greedy evaluations. An actor that slips at some steps whatever it is told can be made to give the
right answer by a solution that is wrong: one that concedes the slip and ends rightly. Needs nothing but Python.
"""
import argparse
import json
import pathlib

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs/toy"))
args = parser.parse_args()


def right_values(question):
    """The value after each operation of a question such as `94+8-3`."""
    value, values = int(question[:2]), []
    for sign, digit in zip(question[2::2], question[3::2]):
        value = (value + (int(digit) if sign == "+" else -int(digit))) % 100
        values.append(f"{value:02}")
    return values


def mended(path):
    """Wrong responses made right, and those of them made right by help that is not the solution."""
    count, other = 0, 0
    for line in path.read_text().splitlines():
        rollout = json.loads(line)
        if rollout["verdict"] == "correct" or rollout["refinements"][0]["verdict"] != "correct":
            continue
        count += 1
        _, told, help_text = rollout["critique"].partition("final answer: Wrong\nExplanation: ")
        stated = [line.partition("=")[2] for line in help_text.strip().splitlines()]
        other += bool(told) and stated != right_values(rollout["question"])
    return count, other


print("| critic | wrong responses mended | of them by help that is not the right solution | by seed |\n| --- | --- | --- | --- |")
for title, arm, row in [
    ("stage I, then stage II", "two_stages", "stage2"), ("stage I for as many steps", "stage1_only", "stage1_only"),
    ("`r_refine` alone", "r_refine", "r_refine"), ("perfect critique", "skills", "perfect"),
]:
    paths = [args.runs / str(seed) / arm / "eval" / f"{row}.jsonl" for seed in args.seeds]
    found = [mended(path) for path in paths if path.exists()]
    all_mended, all_other = (sum(column) for column in zip(*found))
    each = ", ".join(f"{other} of {count}" for count, other in found)
    print(f"| {title} | {all_mended} | {all_other} ({100 * all_other / max(all_mended, 1):.0f} %) | {each} |")
