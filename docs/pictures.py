"""A picture of the reader of rollouts on a report's page: a wrong answer that a critique mended."""

import argparse
import pathlib

from playwright.sync_api import sync_playwright


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("picture", type=pathlib.Path)
    parser.add_argument("--chromium", required=True)
    args = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=args.chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=dict(width=1480, height=620), color_scheme="light")
        page.goto(args.page.resolve().as_uri())
        bar = page.locator(".filters label")
        place = bar.filter(has_text="Stage or evaluation").locator("select")
        places = place.locator("option").evaluate_all("all => all.map((it) => it.value)")
        place.select_option("stage2" if "stage2" in places else places[-1])
        change = bar.filter(has_text="Refinement").locator("select")
        change.select_option("wrong \u2192 right")
        page.wait_for_timeout(300)
        if page.locator("#reader-list li").count() == 0:
            change.select_option("")
            page.wait_for_timeout(300)
        items = page.locator("#reader-list li button")
        items.nth(min(2, items.count() - 1)).click()
        page.locator(".top").evaluate("it => it.remove()")
        page.locator("#reader").evaluate("it => it.scrollIntoView()")
        page.wait_for_timeout(300)
        page.screenshot(path=args.picture)
        browser.close()


if __name__ == "__main__":
    main()
