"""The report in a real browser: switches, search, keyboard, downloads, nothing cut off, nothing that axe objects to.

`make test-web` installs what this needs; elsewhere these tests are skipped, with the reason."""

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.made_comparison import REFUSAL, made_comparison
from tests.report.made_report import made_page
from tests.report.test_explorer_users import HOSTILE

CHROMIUM = shutil.which("chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="`make test-web` installs playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="`make test-web` installs axe")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here; `apt install chromium` to run it")

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
WIDTHS, SCHEMES = (1400, 390), ("light", "dark")
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def addresses(tmp_path_factory) -> dict[str, str]:
    """The pages of one run and of two."""
    folder = tmp_path_factory.mktemp("report")
    for name, text in (("index", made_page()), ("comparison", made_comparison())):
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
        assert (folder / f"{name}.html").stat().st_size < 5_000_000
    return {name: (folder / f"{name}.html").as_uri() for name in ("index", "comparison")}


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def complaints() -> list[str]:
    """What a page must not do: errors, warnings, dialogs, requests to anywhere."""
    return []


@pytest.fixture
def show(browser, addresses, complaints):
    opened = []

    def open_page(width: int = 1400, scheme: str = "light", name: str = "index"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        opened.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: None if request.url.startswith(("file:", "blob:", "data:")) else
                complaints.append(request.url))  # fmt: skip
        page.set_default_timeout(15000)
        page.goto(addresses[name])
        page.wait_for_selector("#by-history svg")
        return page

    yield open_page
    for context in opened:
        context.close()


def choose(page, name: str, value: str) -> None:
    page.locator(f"input[name={name}][value='{value}']").check(force=True)
    page.wait_for_timeout(200)


def open_explorer(page):
    page.locator("#explorer").scroll_into_view_if_needed()
    page.wait_for_selector("#users option")
    return page.locator("#users")


@pytest.mark.parametrize("name", ["index", "comparison"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_is_cut_off_and_axe_has_no_objection(show, complaints, width, scheme, name):
    page = show(width, scheme, name)
    if name == "index":
        open_explorer(page)
    for details in page.locator("main > section > details").all():
        details.evaluate("node => node.open = true")
    page.wait_for_timeout(1500)
    assert page.evaluate(OVERFLOW) <= 0
    if width > 1000:  # a narrow screen scrolls through the names of the sections
        assert page.locator(".pages ul").evaluate("node => node.scrollWidth - node.clientWidth") <= 0
    assert page.locator("figure[data-name] svg.marks").count() == page.locator("figure[data-name] .chart").count()
    found = axe.Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"][:200] for node in each["nodes"][:3]]) for each in found] == []
    assert complaints == []


def test_switches_change_answer_table_and_chart(show, complaints):
    page = show()
    assert page.locator("#sentences").inner_text().startswith("llm has the highest mean NDCG@10")
    assert "ahead of seq" in page.locator("#sentences").inner_text()
    best = page.locator("#headline td.best.chosen")
    assert best.count() == 1 and best.inner_text().startswith("0.400")
    assert page.locator("#headline tbody th").first.inner_text().startswith("oracle")
    drawn = page.locator("#by-history svg").inner_html()
    choose(page, "set", "B")
    assert "not distinguishable from seq" in page.locator("#sentences").inner_text()
    assert best.inner_text().startswith("0.280") and page.locator("#by-history svg").inner_html() != drawn
    choose(page, "domain", "music")
    choose(page, "core", "1")
    assert "of 58 users" in page.locator("#note").inner_text()
    choose(page, "kind", "written")
    assert page.locator("#headline tbody tr").count() == 2
    assert complaints == []


def test_switches_work_by_keyboard(show):
    page = show()
    page.locator("input[name=metric]:checked").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(200)
    assert "mean MRR" in page.locator("#sentences").inner_text()


def test_users_are_searched_filtered_and_stepped_through(show, complaints):
    page = show()
    users = open_explorer(page)
    assert users.locator("option").count() == 40 and "U00" in page.locator("#record h3").first.inner_text()
    users.focus()
    page.keyboard.press("ArrowDown")
    assert "U01" in page.locator("#record h3").first.inner_text()
    page.locator("#next").click()
    assert "U02" in page.locator("#record h3").first.inner_text()
    page.locator("input[name=search]").fill("u07")
    assert users.locator("option").count() == 1 and page.locator("#count").inner_text() == "1 of 40 users"
    assert HOSTILE in page.locator("#record .thought").first.inner_text()
    page.locator("input[name=search]").fill("")
    page.locator("select[name=outcome]").select_option("right")
    assert users.locator("option").count() == 10
    page.locator("select[name=set]").select_option("B")
    assert users.locator("option").count() == 5
    page.locator("input[name=search]").fill("nobody")
    assert "No user fits" in page.locator("#record").inner_text() and complaints == []


def test_a_user_shows_ranks_truth_marks_and_the_command(show):
    page = show()
    open_explorer(page)
    page.locator("#users").select_option(label="✗ U20 · Movies & TV · 1")
    record = page.locator("#record")
    assert "Title 2" in record.locator("p strong").first.inner_text()
    assert record.locator(".ranks td.truth").first.inner_text() == "Title 2"
    assert record.locator(".ranks td.invalid").inner_text() == "invented"
    assert record.locator("mark").all_inner_texts() == ["Sea"]
    assert record.locator("code").inner_text() == "kitrec trace llm hit@1 --kind written --set A --user U20"
    assert record.locator(".histories li").count() == 2 and HOSTILE in record.locator(".histories").inner_text()


def test_an_example_of_a_failure_leads_to_its_user(show):
    page = show()
    page.locator("details summary", has_text="no_json").click()
    page.locator("a[data-record]").click()
    page.wait_for_selector("#users option")
    page.wait_for_timeout(300)
    assert "U07" in page.locator("#record h3").first.inner_text()


def test_tables_sort_by_number_and_by_name(show):
    page = show()
    cells = page.locator("#t-numbers tbody td:first-child")
    page.locator("#t-numbers th button", has_text="value").click()
    assert cells.all_inner_texts() == ["a", "b", "c"]
    page.locator("#t-numbers th button", has_text="name").click()
    assert cells.all_inner_texts() == ["c", "b", "a"]


def test_tables_and_figures_are_saved(show, tmp_path: Path):
    page = show()
    page.wait_for_selector("#strata svg.marks")
    for button, name, beginning in (
        ("#answer button[data-csv-of]", "headline.csv", b"method,Hit@1"),
        ("#by-history button[data-save=svg]", "by_history.svg", b"<svg"),
        ("#strata button[data-save=png]", "strata.png", b"\x89PNG"),
    ):
        with page.expect_download() as waiting:
            page.locator(button).first.click()
        assert waiting.value.suggested_filename == name
        waiting.value.save_as(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(beginning)
    rows = list(csv.reader((tmp_path / "headline.csv").read_text().splitlines()))
    assert len(rows) == 5 and rows[1][5] == "0.900 (0.870-0.950)"


def test_the_print_of_the_page_has_few_pages_and_its_charts(show, tmp_path):
    page = show()
    page.wait_for_selector("#strata svg.marks")
    page.pdf(path=tmp_path / "report.pdf", prefer_css_page_size=True)
    content = (tmp_path / "report.pdf").read_bytes()
    assert 1 <= content.count(b"/Type /Page\n") + content.count(b"/Type /Page ") <= 6


def test_differences_of_two_runs_follow_the_switches(show, complaints):
    page = show(name="comparison")
    sentences, rows = page.locator("#sentences"), page.locator("#headline tbody tr")
    assert sentences.inner_text().startswith("NDCG@10 of llm: an-experiment is ahead of HEAD by 0.100 [0.070, 0.130]")
    assert rows.count() == 5 and rows.first.inner_text().startswith("oracle")
    llm = page.locator("#headline tr", has_text="llm")
    assert llm.locator("td").all_inner_texts()[:2] == ["0.300", "0.400"]
    assert llm.locator("td.best").all_inner_texts() == ["+0.100\n+0.070 … +0.130", ".030\nahead"]
    assert page.locator("#headline td.best").count() == 2  # nothing else is a claim
    same = page.locator("#headline tr", has_text="same")
    assert same.locator("td").all_inner_texts()[2:] == ["0", "–\nsame scores"]
    drawn = page.locator("#by-history svg").inner_html()
    choose(page, "core", "10+")
    assert "In this view" in page.locator("#note").inner_text() and sentences.inner_text().count("0.100 [") == 0
    choose(page, "metric", "mrr")
    assert page.locator("#by-history svg").inner_html() != drawn
    choose(page, "kind", "written")
    assert rows.count() == 2 and "see Hit@1" in sentences.inner_text()
    assert complaints == []


def test_a_set_that_is_not_tested_shows_no_chart_and_says_why(show, complaints):
    page = show(name="comparison")
    choose(page, "set", "B")
    assert REFUSAL in page.locator("#sentences").inner_text() and page.locator("#headline td.best").count() == 0
    assert not page.locator("#by-history").is_visible() and page.locator("#nothing").is_visible()
    choose(page, "set", "A")
    assert page.locator("#by-history svg.marks").is_visible() and not page.locator("#nothing").is_visible()
    assert complaints == []


def test_differences_are_sorted_and_saved(show, tmp_path: Path):
    page = show(390, name="comparison")
    assert page.locator("#headline th", has_text="difference").is_visible()
    page.locator("#headline th button", has_text="difference").click()
    names = [text.split()[0] for text in page.locator("#headline tbody th").all_inner_texts()]
    assert names == ["oracle", "llm", "same", "pop", "seq"]
    with page.expect_download() as waiting:
        page.locator("#answer button[data-csv-of]").click()
    waiting.value.save_as(tmp_path / "differences.csv")
    rows = list(csv.reader((tmp_path / "differences.csv").read_text().splitlines()))
    assert rows[0] == ["method", "HEAD", "an-experiment", "difference", "p (Holm)"]
    assert rows[2][1:] == ["0.300", "0.400", "+0.100 [+0.070 … +0.130]", ".030 ahead"]
