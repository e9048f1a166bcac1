"""Pictures of the report for the docs.   python -m tests.report.screenshots report/index.html docs/figures
Reads the page; writes report_first_screen.png and report_users.png, as seen 1,400 pixels wide. Needs what
`make test-web` installs."""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1400, 900


def main(report: Path, folder: Path) -> None:
    """Take a picture of the first screen, and of a user whose methods differ."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(report.resolve().as_uri())
        page.wait_for_selector("#by-history svg")
        page.wait_for_timeout(2000)
        page.screenshot(path=folder / "report_first_screen.png")
        page.locator("#explorer").scroll_into_view_if_needed()
        page.wait_for_selector("#users option")
        page.locator("select[name=disagree]").select_option("1")
        page.evaluate("document.querySelector('#filters').scrollIntoView()")
        page.wait_for_timeout(500)
        page.screenshot(path=folder / "report_users.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
