"""Drives `critique-rl report` pages in headless Chromium; see README.md."""

import argparse
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile
from contextlib import contextmanager

from playwright.sync_api import sync_playwright

HOSTILE = [
    "</script><script>document.title='taken'</script>",
    "<img src=x onerror=\"document.title='taken'\"><style>*{display:none}</style>",
    "\x00\x1b[2J\x1b]0;taken\x07\x9b31m",
    "\u202eneht \u2066x \u2028 \u0645\u0631\u062d\u0628\u0627 \u05e9\u05dc\u05d5\u05dd",
    "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f" * 40,
]

CONFIG = """
seed = {seed}
out = "runs/x"
task = {{ name = "arithmetic" }}
models.base.new = {{ d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 64 }}

[[stages]]
kind = "sft"
name = "sft"
model = "base"
steps = 10
lr = 1e-3
data = [{{ kind = "solutions", rows = 4 }}]

[[stages]]
kind = "rl"
name = "stage1"
model = "base"
steps = 30
lr = 1e-4
kl_coef = 0.01
rewards = {{ discriminability = 1.0 }}
"""


def write_run(root, seed, steps=40):
    root.mkdir(parents=True)
    (root / "config.resolved.toml").write_text(CONFIG.format(seed=seed))
    lines = []
    for step in range(1, steps + 1):
        if step <= 10:
            numbers = dict(stage="sft", stage_step=step, loss=3 / step, num_tokens=100, **{"time/step": 0.1})
        else:
            share = min(1, (step - 10) / 40 + seed / 50)
            numbers = dict(stage="stage1", stage_step=step - 10, reward=share, acc_dis_correct=share,
                           acc_dis_incorrect=1 - share, acc_initial=0.5, kl=share / 10,
                           **{"time/step": 1.0, "unparsed/no_line": 0.1})
        lines.append(json.dumps(dict(step=step, **numbers)))
    (root / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    for step in range(4):
        records = [rollout(f"stage1/{step}/p{p}/0.{c}", "stage1", step, f"p{p}", f"critique {p} {c}") for p in range(4) for c in range(4)]
        write_lines(root / f"rollouts/stage-stage1/step-{step:06}.jsonl", records)
    hostile = [rollout(f"eval/0/p{at}/0.0", "eval", 0, f"p{at}", text) for at, text in enumerate(HOSTILE)]
    hostile.append(rollout("eval/0/8+9/0.0", "eval", 0, "8+9", "long " * 200_000))
    write_lines(root / "eval/stage1.jsonl", hostile)


def rollout(identity, stage, step, problem, text):
    critique = f"Step sentence: {text}\nCorrectness of the step: Wrong\nCorrectness of the final answer: Wrong"
    return dict(
        version=1, id=identity, stage=stage, step=step, problem=problem, question=f"question {text}", gold="4",
        response=f"It is 5, says {text}", verdict="wrong", score=0.0, critique=critique, judgment="wrong",
        judged_rightly=True, refinements=[dict(text=f"It is 4, says {text}", verdict="correct", score=1.0)],
        reward=1.0 if identity.endswith("0") else 0.5, rewards={"discriminability": 1.0}, advantage=0.25,
        tokens=dict(response=5, critique_prompt=9, critique=20, refinements=[5]), truncated=False,
        seeds=dict(response="0", critique="0", refinements=["0"]))


def write_lines(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def check(holds, what):
    if not holds:
        sys.exit(f"not so: {what}")
    print(f"ok: {what}")


@contextmanager
def opened(browser, path, anchor="", **options):
    """A page that must ask nothing of the network and log nothing."""
    context = browser.new_context(**options)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri() + anchor)
    yield page
    outside = [url for url in asked if not url.startswith(("file:", "data:"))]
    check(not said and not outside, f"nothing in the console, nothing asked of the network {said} {outside}")
    context.close()


def no_wider_than_its_window(page):
    return page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def found(page):
    return int(page.locator("#reader-list .found").inner_text().split(" of ")[0].replace(",", ""))


def field(page, name):
    return page.locator(".filters label", has=page.get_by_text(name, exact=True)).locator("select, input")


def curves(browser, path):
    with opened(browser, path) as page:
        check(page.locator("figure.plot").count() >= 8, "curves are drawn")
        check(page.locator(".band polygon").count() >= 3, "two seeds are one line with a band")
        page.get_by_label("Runs that differ in their seed").select_option("each")
        check(page.locator(".band polygon").count() == 0, "and two lines where that is asked for")
        plot = page.locator("figure.plot", has_text="Acc@Dis").first
        plot.locator("svg[role=img]").focus()
        page.keyboard.press("Home")
        check("step 11, stage1: " in plot.locator(".readout").inner_text(), "arrow keys read values off a curve")
        page.locator("#curves-controls select").first.select_option("sft")
        check(page.locator("figure.plot", has_text="Loss").count() == 1 and page.locator("figure.plot", has_text="Acc@Dis").count() == 0, "a stage can be looked at alone")


def reading(browser, path):
    with opened(browser, path) as page:
        everything = found(page)
        check(everything == 70, f"all rollouts are there, {everything}")
        field(page, "Stage or evaluation").select_option("stage1")
        check(found(page) == 64, "filtered by stage")
        field(page, "Step from").fill("2")
        page.wait_for_timeout(400)
        check(found(page) == 48, "and by step")
        field(page, "Reward from").fill("0.75")
        page.wait_for_timeout(400)
        check(found(page) == 12, "and by reward")
        page.get_by_role("button", name="Clear").click()
        field(page, "Text").fill("critique 3 2")
        page.wait_for_timeout(400)
        check(found(page) == 4, "and by text")
        page.locator("#reader-list li button").nth(1).click()
        check(page.locator(".detail-head h3").inner_text() == "stage1/1/p3/0.2", "a click opens a rollout")
        check("rollout=stage1%2F1%2Fp3%2F0.2" in page.url, "the address is a link to it")
        page.keyboard.press("j")
        check(page.locator(".detail-head h3").inner_text() == "stage1/2/p3/0.2", "the key j goes on")
        check(page.locator(".columns del").first.inner_text() == "5" and page.locator(".columns ins").first.inner_text() == "4", "what changed is marked")
        check(page.locator(".columns .of-step.bad").count() == 1, "verdicts on steps are marked")
        check(page.locator(".siblings tbody tr").count() == 4, "critiques of the response stand beside each other")
        check(page.locator(".beside article").count() == 5, "and the problem at other moments")


def links(browser, path):
    with opened(browser, path, "#rollout=eval/0/8+9/0.0&row=stage1") as page:
        check(page.locator(".detail-head h3").inner_text() == "eval/0/8+9/0.0", "a link opens its rollout")
        text = page.locator(".columns .text").nth(2)
        check(len(text.inner_text()) < 10_000, "a megabyte of text has its start shown")
        text.get_by_role("button").click()
        check(len(text.inner_text()) >= 1_000_000, "and all of it where that is asked for")
        check(no_wider_than_its_window(page), "and fits the window")
    with opened(browser, path, "#rollout=stage1/99/x/0.0") as page:
        check("does not have the rollout stage1/99/x/0.0" in page.locator("#reader-missing").inner_text(), "a rollout that is not there is told")


def hostile(browser, path):
    with opened(browser, path) as page:
        title = page.title()
        for at, text in enumerate(HOSTILE):
            page.evaluate(f"location.hash = 'rollout=eval/0/p{at}/0.0&row=stage1'")
            page.wait_for_timeout(50)
            check(page.locator(".detail-head h3").inner_text() == f"eval/0/p{at}/0.0", f"hostile text {at} is open")
            shown = page.locator(".columns").inner_text()
            check(not any(ord(c) < 32 and c not in "\n\t" or "\u202a" <= c <= "\u202e" for c in shown), "nothing that commands is shown")
        check(page.title() == title and page.locator("#reader img, #reader style, #reader script").count() == 0, "nothing a model wrote became markup")


def looks(browser, path, shots):
    sizes = [("light", "light", 1280), ("dark", "dark", 1280), ("phone", "light", 390), ("phone-dark", "dark", 390)]
    for name, scheme, width in sizes:
        with opened(browser, path, color_scheme=scheme, viewport=dict(width=width, height=900)) as page:
            check(no_wider_than_its_window(page), f"{name}: no wider than its window")
            if shots:
                shots.mkdir(parents=True, exist_ok=True)
                page.screenshot(path=shots / f"{path.stem}-{name}.png", full_page=True)


def made(command, folder, name, runs):
    path = folder / f"{name}.html"
    subprocess.run([*shlex.split(command), *map(str, runs), "-o", str(path)], check=True)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", required=True, help="what takes RUN… -o FILE")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--shots", type=pathlib.Path, help="folder for pictures")
    parser.add_argument("runs", nargs="*", type=pathlib.Path, help="runs of yours, for pictures of them")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = pathlib.Path(temporary)
        for seed in (1, 2):
            write_run(folder / f"s{seed}", seed)
        one = made(args.command, folder, "one", [folder / "s1"])
        two = made(args.command, folder, "two", [folder / "s1", folder / "s2"])
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        curves(browser, two)
        reading(browser, one)
        links(browser, one)
        hostile(browser, one)
        for path in (one, two):
            looks(browser, path, args.shots)
        if args.runs:
            looks(browser, made(args.command, folder, "yours", args.runs), args.shots)


if __name__ == "__main__":
    main()
