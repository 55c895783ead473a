"""What help is worth: who is mended by what, and whether any help mends what the actor insists on.

    python benches/toy/arms.py --seeds 1 2 3 4 5
    python benches/toy/help.py [--runs runs/toy] [--seeds 1 2 3 4 5]

Reads the rollouts of greedy evaluations. Told `Wrong`, the actor is meant to take the help as it is, and at stubborn
questions (with an operand of 8 or 9) to give up whatever the help. So a wrong response should be mended by the right
solution alone, and at stubborn questions by nothing. Needs nothing but Python.
"""
import argparse
import json
import pathlib

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
parser.add_argument("--runs", type=pathlib.Path, default=pathlib.Path("runs/toy"))
parser.add_argument("--stubborn", type=int, default=8, help="the lowest operand of stubborn questions")
args = parser.parse_args()


def right_values(question):
    """The value after each operation of a question such as `94+8-3`."""
    value, values = int(question[:2]), []
    for sign, digit in zip(question[2::2], question[3::2]):
        value = (value + (int(digit) if sign == "+" else -int(digit))) % 100
        values.append(f"{value:02}")
    return values


def is_stubborn(question):
    """Whether the actor gives up at this question: there is a stubborn operand, and the start is not the answer."""
    return any(int(digit) >= args.stubborn for digit in question[3::2]) and right_values(question)[-1] != question[:2]


def count(path):
    """Of one evaluation: mended, of them by other help; told `Wrong` at other and at stubborn questions, and what came of it."""
    found = dict.fromkeys(["mended", "other", "told", "helped", "stubborn", "stubborn_right"], 0)
    for line in path.read_text().splitlines():
        rollout = json.loads(line)
        right = rollout["refinements"][0]["verdict"] == "correct"
        wrong_before = rollout["verdict"] != "correct"
        _, told, help_text = rollout["critique"].partition("final answer: Wrong\nExplanation: ")
        solved = [line.partition("=")[2] for line in help_text.strip().splitlines()] == right_values(rollout["question"])
        found["mended"] += wrong_before and right
        found["other"] += wrong_before and right and bool(told) and not solved
        if not told:
            continue
        if is_stubborn(rollout["question"]):
            found["stubborn"] += 1
            found["stubborn_right"] += right
        elif wrong_before:
            found["told"] += 1
            found["helped"] += solved
    return found


def share(part, whole):
    return f"{part} of {whole} ({100 * part / max(whole, 1):.0f} %)"


print(
    "| critic | wrong responses mended | of them by help that is not the right solution "
    "| told `Wrong` at a stubborn question, right after all | help right, at wrong responses to others |\n"
    "| --- | --- | --- | --- | --- |"
)
for title, arm, row in [
    ("SFT", "skills", "sft"), ("stage I, then stage II", "two_stages", "stage2"),
    ("stage I for as many steps", "stage1_only", "stage1_only"), ("`r_refine` alone", "r_refine", "r_refine"),
    ("perfect critique", "skills", "perfect"),
]:
    paths = [args.runs / str(seed) / arm / "eval" / f"{row}.jsonl" for seed in args.seeds]
    found = [count(path) for path in paths if path.exists()]
    total = {name: sum(each[name] for each in found) for name in (found or [{}])[0]}
    if not total:
        continue
    print(
        f"| {title} | {total['mended']} | {share(total['other'], total['mended'])} "
        f"| {share(total['stubborn_right'], total['stubborn'])} | {share(total['helped'], total['told'])} |"
    )

# No critic should get beyond perfect critiques of the same responses.
above = []
for seed in args.seeds:
    rows = {}
    for path in sorted((args.runs / str(seed)).glob("*/eval/summary.json")):
        for row in json.loads(path.read_text())["rows"]:
            rows[path.parent.parent.name, row["stage"]] = row["acc_refined"]
    for ending in ("", "@0.7"):
        ceiling = rows.get(("skills", "perfect" + ending))
        for (arm, stage), value in rows.items():
            same = stage.endswith("@0.7") == bool(ending)
            if same and value is not None and ceiling is not None and value > ceiling:
                above.append(f"seed {seed} {stage} by {100 * (value - ceiling):.1f}")
print("\nRows above perfect critiques of the same seed and temperature, in points: " + ("; ".join(above) or "none") + ".")
