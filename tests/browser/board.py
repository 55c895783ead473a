"""Drives `critique-rl board` in headless Chromium; see README.md."""

import argparse
import contextlib
import http.client
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

from playwright.sync_api import sync_playwright

from report import HOSTILE, check, field, no_wider_than_its_window, write_lines, write_run, rollout


@contextlib.contextmanager
def board(command, folder):
    process = subprocess.Popen([*shlex.split(command), "board", str(folder), "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def opened(browser, url, **options):
    """A page that must ask nothing of others and log nothing."""
    context = browser.new_context(**options)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    yield page
    own = url.split("/view")[0].rstrip("/")
    outside = [other for other in asked if not other.startswith((own, "data:"))]
    check(not said and not outside, f"nothing in the console, nothing asked of others {said} {outside}")
    context.close()


def until(holds, what, seconds=10):
    """The page's policy forbids it to evaluate texts, so it is asked from here."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"not so: {what}")
        time.sleep(0.05)
    print(f"ok: {what}")


def found(page, wanted, what):
    shown = page.locator("#reader-list .found")
    until(lambda: shown.count() == 1 and shown.inner_text().startswith(f"{wanted:,} of "), what)


def head(page, identity):
    page.locator(".detail-head h3", has_text=identity).wait_for(timeout=10_000)
    print(f"ok: {identity} is open")


def lists(browser, base):
    with opened(browser, base) as page:
        check(page.locator(".of-run").count() == 2, "the board lists the runs")
        page.get_by_role("checkbox").nth(0).check()
        page.get_by_role("checkbox").nth(1).check()
        page.get_by_role("button", name="Open the chosen beside each other").click()
        page.locator("figure.plot").first.wait_for()
        check("run=s1&run=s2" in page.url, "chosen runs are opened beside each other")
        check(page.locator(".band polygon").count() >= 3, "two seeds are one line with a band")
        page.get_by_role("link", name="All runs").click()
        page.get_by_role("link", name="Open s2").click()
        page.locator("figure.plot").first.wait_for()
        check(page.locator("h1").inner_text() == "s2", "and one alone")


def reads(browser, base):
    with opened(browser, f"{base}view?run=s1") as page:
        found(page, 70, "all rollouts are there")
        field(page, "Stage or evaluation").select_option("stage1")
        found(page, 64, "filtered by stage")
        field(page, "Step from").fill("2")
        found(page, 48, "and by step")
        field(page, "Reward from").fill("0.75")
        found(page, 12, "and by reward")
        page.get_by_role("button", name="Clear").click()
        found(page, 70, "cleared")
        field(page, "Refinement").select_option("wrong \u2192 right")
        found(page, 70, "filtered by what became of the response")
        field(page, "Text").fill("CRITIQUE 3 2")
        found(page, 4, "and by text, whatever the letters' case")
        page.locator("#reader-list li button").nth(1).click()
        head(page, "stage1/1/p3/0.2")
        check("rollout=stage1%2F1%2Fp3%2F0.2" in page.url, "the address is a link to it")
        page.keyboard.press("j")
        head(page, "stage1/2/p3/0.2")
        check(page.locator(".columns del").first.inner_text() == "5", "what changed is marked")
        check(page.locator(".siblings tbody tr").count() == 4, "critiques of the response stand beside each other")
        check(page.locator(".beside article").count() == 5, "and the problem at other moments")
        page.get_by_role("button", name="Clear").click()
        found(page, 70, "cleared again")
        page.locator("#reader-list .turn button").nth(1).click()
        page.locator("#reader-list .turn span", has_text="2 of 2").wait_for()
        check(page.locator("#reader-list li").count() == 20, "pages are turned")


def links(browser, base):
    with opened(browser, f"{base}view?run=s1#rollout=eval/0/8+9/0.0&row=stage1") as page:
        head(page, "eval/0/8+9/0.0")
        text = page.locator(".columns .text").nth(2)
        check(len(text.inner_text()) < 10_000, "a megabyte of text has its start shown")
        text.get_by_role("button").click()
        check(len(text.inner_text()) >= 1_000_000, "and all of it where that is asked for")
        title = page.title()
        for at in range(len(HOSTILE)):
            page.evaluate(f"location.hash = 'rollout=eval/0/p{at}/0.0&row=stage1'")
            head(page, f"eval/0/p{at}/0.0")
            shown = page.locator(".columns").inner_text()
            check(not any(ord(c) < 32 and c not in "\n\t" or "\u202a" <= c <= "\u202e" for c in shown), "nothing that commands is shown")
        check(page.title() == title and page.locator("#reader img, #reader style, #reader script").count() == 0, "nothing a model wrote became markup")


def follows(browser, base, run):
    """What is written while a page is open comes to it."""
    with opened(browser, f"{base}view?run=s1") as page:
        found(page, 70, "before")
        before = page.locator("figure.plot .readout").first.inner_text()
        with open(run / "metrics.jsonl", "a") as metrics:
            metrics.write(json.dumps(dict(step=41, stage="stage1", stage_step=31, reward=0.125, acc_dis_correct=0.5)) + "\n")
        records = [rollout(f"stage1/4/p0/0.{c}", "stage1", 4, "p0", f"late {c}") for c in range(4)]
        write_lines(run / "rollouts/stage-stage1/step-000004.jsonl", records)
        found(page, 74, "rollouts of a new step come to an open page")
        until(lambda: page.locator("figure.plot .readout").first.inner_text() != before, "and curves grow")
        check(page.locator("#live").inner_text().startswith("Live."), "the page says that it is live")


def quickstart(browser, command):
    """A run that begins, is followed, and ends."""
    with tempfile.TemporaryDirectory() as folder, board(command, folder) as base:
        run = pathlib.Path(folder) / "quick"
        process = subprocess.Popen([*shlex.split(command), "quickstart", "--quick", "--out", str(run)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not (run / "metrics.jsonl").exists():
                check_alive(process)
                time.sleep(0.2)
            with opened(browser, f"{base}view?run=quick") as page:
                page.locator("figure.plot").first.wait_for(timeout=30_000)
                page.locator("#evaluation-table td").first.wait_for(timeout=90_000)
                page.locator("#reader-list li").first.wait_for(timeout=90_000)
                code = process.wait(timeout=110)
                check(code == 0, "the run ends well")
                page.locator("#evaluation-table th", has_text="stage2").first.wait_for(timeout=15_000)
                print("ok: a running quickstart is followed to its end")
        finally:
            process.kill()
            process.wait()


def check_alive(process):
    if process.poll() not in (None, 0):
        sys.exit(f"not so: the run goes on, it ended with {process.returncode}")


def refuses(base):
    """What only somebody else would ask."""
    where = base.removeprefix("http://").rstrip("/")

    def asked(path, host=where, method="GET"):
        connection = http.client.HTTPConnection(where, timeout=10)
        connection.request(method, path, headers={"Host": host})
        answer = connection.getresponse()
        answer.read()
        return answer.status

    check(asked("/") == 200 and asked("/", host="localhost:99") == 200, "the board answers its own names")
    check(asked("/", host="evil.example") == 403, "and no name that others lead here")
    check(asked("/", method="POST") == 405, "nothing is written to it")
    for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/view?run=../s1", "/view?run=%2Fetc", "/rollouts?run=s1&run=..%2Fs2"):
        check(asked(path) == 404, f"{path} leads nowhere")
    check(asked("/rollouts?run=s1&stepFrom=x") == 400, "a bad filter is told")


def looks(browser, url, shots, name):
    for look, scheme, width in [("light", "light", 1280), ("dark", "dark", 1280), ("phone", "light", 390)]:
        with opened(browser, url, color_scheme=scheme, viewport=dict(width=width, height=900)) as page:
            page.wait_for_timeout(800)
            check(no_wider_than_its_window(page), f"{name}, {look}: no wider than its window")
            if shots:
                shots.mkdir(parents=True, exist_ok=True)
                page.screenshot(path=shots / f"{name}-{look}.png", full_page=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--command", required=True, help="the program, such as target/release/critique-rl")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--shots", type=pathlib.Path, help="folder for pictures")
    parser.add_argument("--skip-quickstart", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = pathlib.Path(temporary)
        for seed in (1, 2):
            write_run(folder / f"s{seed}", seed)
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        with board(args.command, folder) as base:
            lists(browser, base)
            reads(browser, base)
            links(browser, base)
            refuses(base)
            looks(browser, f"{base}view?run=s1&run=s2", args.shots, "board")
            looks(browser, base, args.shots, "runs")
            follows(browser, base, folder / "s1")
        if not args.skip_quickstart:
            quickstart(browser, args.command)


if __name__ == "__main__":
    main()
