"""The pages in a real Chromium: drawn, quiet, at home and accessible."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from python_ml.warehouse.connection import Warehouse
from python_ml.web.pages import PAGES
from python_ml.web.report import write_report
from tests.web_market import (
    NOW,
    browser_path,
    served,
)

SERIOUS = ("serious", "critical")
NARROW, WIDE = 390, 1440
FIT_SECONDS = 10
# Figures that do not fill their places.
MISFITS = """() => [...document.querySelectorAll(".plot")].filter(place =>
    Math.abs(place.clientHeight
        - place.querySelector(".main-svg").clientHeight) > 1
).map(place => place.id)"""
FITS = f"""() => ({MISFITS})().length === 0
    && document.documentElement.scrollWidth <= innerWidth"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=browser_path(), args=["--no-sandbox"]
        )
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def market(
    fresh_warehouse: Callable[..., Warehouse], pages_database: str
) -> Warehouse:
    return fresh_warehouse(template=pages_database)


@pytest.fixture(scope="module")
def home(market: Warehouse) -> Iterator[str]:
    """Address of one server for all tests, which keeps what it has made."""
    with served(market) as address:
        yield address


@contextlib.contextmanager
def watched(browser: Browser, home: str) -> Iterator[tuple[Page, list[str]]]:
    """A tab, and what it says, asks of elsewhere or fails at."""
    page = browser.new_page(
        viewport={"width": WIDE, "height": 900}, color_scheme="light"
    )
    # A busy machine is slow, not broken.
    page.set_default_timeout(120_000)
    faults: list[str] = []
    page.on(
        "console",
        lambda said: (
            faults.append(f"console: {said.text}")
            if said.type in ("error", "warning")
            else None
        ),
    )
    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    page.on("dialog", lambda asked: faults.append(f"ran: {asked.message}"))
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((home, "data:", "blob:"))
            else faults.append(f"elsewhere: {request.url}")
        ),
    )
    yield page, faults
    page.close()


def settle(page: Page) -> None:
    """Wait until all figures are drawn."""
    page.wait_for_selector("html[data-drawn=yes]", state="attached")


def findings(page: Page) -> list[str]:
    """What axe finds that is serious."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:120]}"
        for one in found
        if one["impact"] in SERIOUS
    ]


def resize(page: Page, *, is_narrow: bool) -> None:
    """Look in the dark at a phone's width, or in the light at a desk's."""
    page.emulate_media(color_scheme="dark" if is_narrow else "light")
    page.set_viewport_size(
        {"width": NARROW if is_narrow else WIDE, "height": 900}
    )


def check_drawn(page: Page) -> None:
    """All figures are there, fill their places, and nothing is cut off."""
    settle(page)
    # Plotly fits them to a window of another width a moment later.
    deadline = time.monotonic() + FIT_SECONDS
    while not page.evaluate(FITS) and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    settle(page)
    plots = page.locator(".plot").count()
    assert page.locator(".plot svg.main-svg").count() >= plots
    assert page.locator(".failure").count() == 0
    assert page.evaluate(MISFITS) == []
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.viewport_size["width"]


def test_every_page_is_drawn_quiet_and_accessible(browser, home):
    """Each is loaded one way and turned to the other, by turns."""
    with watched(browser, home) as (page, faults):
        for number, one in enumerate(PAGES):
            page.goto(f"{home}/{one.key}")
            check_drawn(page)
            assert findings(page) == [], one.key
            resize(page, is_narrow=number % 2 == 0)
            # The change of scheme draws once more.
            page.wait_for_timeout(50)
            check_drawn(page)
        assert faults == []


def test_an_empty_warehouse_has_pages_that_name_the_command(
    browser, module_warehouse
):
    with (
        served(module_warehouse) as empty,
        watched(browser, empty) as (page, faults),
    ):
        for one in PAGES:
            page.goto(f"{empty}/{one.key}")
            check_drawn(page)
            assert "swiftbolt" in page.locator("main").inner_text(), one.key
        assert findings(page) == []
        assert faults == []


def test_a_reader_clicks_along_and_comes_back(browser, home):
    with watched(browser, home) as (page, faults):
        page.goto(home)
        page.keyboard.press("/")
        page.keyboard.type("BBB")
        page.keyboard.press("Enter")
        page.wait_for_url("**/forecasts?symbol=BBB")
        page.get_by_role("link", name="5d", exact=True).click()
        page.wait_for_url("**horizon=5d")
        settle(page)
        assert "5d" in page.locator("#price-title").inner_text()
        shares = page.locator("#classes .xtick").all_text_contents()
        assert shares[0] == "0%"
        assert shares[-1] == "100%"
        page.get_by_role("link", name="Drift").click()
        page.wait_for_url("**/drift?symbol=BBB&timeframe=d1")
        page.go_back()
        page.wait_for_url("**horizon=5d")
        settle(page)
        page.go_back()
        page.go_forward()
        page.wait_for_url("**horizon=5d")
        settle(page)
        before = page.evaluate(
            "getComputedStyle(document.body).backgroundColor"
        )
        page.get_by_role("button", name="Light or dark").click()
        settle(page)
        assert before != page.evaluate(
            "getComputedStyle(document.body).backgroundColor"
        )
        assert faults == []


def test_the_report_needs_no_network(browser, market, tmp_path: Path):
    path = tmp_path / "report.html"
    summary = write_report(market, path, now=NOW)
    assert summary.failed == ()
    assert path.stat().st_size < 6_000_000
    with watched(browser, path.as_uri()) as (page, faults):
        page.context.set_offline(True)
        page.goto(path.as_uri())
        settle(page)
        assert page.locator(".plot svg.main-svg").count() > 8
        with page.expect_download() as download:
            page.locator("button.csv").first.click()
        text = Path(download.value.path()).read_text()
        assert len(text.splitlines()) >= 2
        assert faults == []
        page.context.set_offline(False)


def test_what_is_missing_is_named_with_the_command(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match="apt-get install chromium"):
        browser_path()
