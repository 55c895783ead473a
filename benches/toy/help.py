"""How often help that mends a wrong response is not the right solution itself.

    python benches/toy/arms.py --seeds 1 2 3 4 5
    python benches/toy/help.py [--runs runs/toy] [--seeds 1 2 3 4 5]

Reads the rollouts of greedy evaluations. An actor can be made to give the
right answer by a solution that is wrong: one that concedes a slip and ends in the answer, or one that is too high by
what the actor takes off again. Needs nothing but Python.
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
    """Wrong responses made right, by help that is not the solution, that ends in the answer, or one above it."""
    count, other, in_answer, above = 0, 0, 0, 0
    for line in path.read_text().splitlines():
        rollout = json.loads(line)
        if rollout["verdict"] == "correct" or rollout["refinements"][0]["verdict"] != "correct":
            continue
        count += 1
        _, told, help_text = rollout["critique"].partition("final answer: Wrong\nExplanation: ")
        stated = [line.partition("=")[2] for line in help_text.strip().splitlines()]
        if told and stated != right_values(rollout["question"]):
            other += 1
            answer = int(rollout["gold"])
            in_answer += stated[-1] == f"{answer:02}"
            above += stated[-1] == f"{(answer + 1) % 100:02}"
    return count, other, in_answer, above


print(
    "| critic | wrong responses mended | of them by help that is not the right solution "
    "| of these, it ends in the answer | one above it | by seed |\n| --- | --- | --- | --- | --- | --- |"
)
for title, arm, row in [
    ("stage I, then stage II", "two_stages", "stage2"), ("stage I for as many steps", "stage1_only", "stage1_only"),
    ("`r_refine` alone", "r_refine", "r_refine"), ("perfect critique", "skills", "perfect"),
]:
    paths = [args.runs / str(seed) / arm / "eval" / f"{row}.jsonl" for seed in args.seeds]
    found = [mended(path) for path in paths if path.exists()]
    all_mended, all_other, in_answer, above = (sum(column) for column in zip(*found))
    each = ", ".join(f"{other} of {count}" for count, other, *_ in found)
    share = 100 * all_other / max(all_mended, 1)
    print(f"| {title} | {all_mended} | {all_other} ({share:.0f} %) | {in_answer} | {above} | {each} |")
