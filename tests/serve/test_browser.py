"""The pages as a person uses them, in a browser."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from corarec.runs.live import LiveRun
from corarec.serve.app import create_app
from corarec.serve.keys import add_key, read_keys
from corarec.serve.opening import url_of
from corarec.serve.server import address, bind
from corarec.serve.service import Service
from corarec.serve.settings import ServeSettings

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
AXE = os.environ.get("CORAREC_AXE")
"""The file axe.min.js of the npm package axe-core, which checks that pages can be used by all."""
PAGES = (
    "/",
    "/?q=royal",
    "/?q=qqqqzzzz&forgotten=nobody",
    "/person?user=1",
    "/person?user=1&beside=text",
    "/person?user=1&beside=run",
    f"/person?user={'w' * 200}",
    "/new",
    "/status",
)
WIDTHS, SCHEMES = (390, 1280), ("light", "dark")

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=BROWSER, args=OPTIONS)
        yield opened
        opened.close()


@pytest.fixture
def running(
    live_of: Callable[[], LiveRun], trained_run: Path, served_beside: Path, tmp_path: Path
) -> Callable[..., Any]:
    """Return what serves the run at a port of its own, always with the same store."""

    @contextmanager
    def run(**settings: Any) -> Iterator[tuple[str, Service]]:
        told = {"run": trained_run, "store": url_of(tmp_path / "store.sqlite"), "port": 0}
        told |= {"beside": served_beside}
        chosen = ServeSettings.parse(told | settings, "the test")
        service = Service(chosen, load=live_of)
        app = create_app(chosen, service, read_keys(chosen.keys))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        with bind(chosen) as listening:
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            try:
                until = time.monotonic() + 60
                while (not server.started or service.trouble()) and time.monotonic() < until:
                    time.sleep(0.02)
                yield address(listening), service
            finally:
                server.should_exit = True
                thread.join(30)

    return run


@contextmanager
def tab(browser: Any, base: str, **options: Any) -> Iterator[Any]:
    """Open a tab of a new browser; anything that its console complains of fails the test."""
    context = browser.new_context(base_url=base, **options)
    page = context.new_page()
    page.set_default_timeout(20_000)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda told: wrong.append(told.text) if told.type == "error" else None)
    page.on("dialog", lambda dialog: wrong.append(dialog.message))
    yield page
    assert wrong == []
    context.close()


def items(page: Any) -> list[str]:
    """Return the recommended items that are shown."""
    found: list[str] = page.locator("li[data-item]").evaluate_all(
        "all => all.map(one => one.dataset.item)"
    )
    return found


def test_somebody_new_picks_sees_the_list_change_and_comes_back_after_a_restart(
    browser: Any, running: Callable[..., Any]
) -> None:
    with running() as (base, service):
        title = service.index.get("3")[0]
        with tab(browser, base, viewport={"width": 390, "height": 800}) as page:
            page.goto("/")
            page.get_by_role("link", name="Somebody new", exact=True).click()
            page.get_by_label("A title, however it is spelt").press_sequentially(
                title[:3] + title[4:], delay=5
            )
            page.get_by_role("button", name=f"Likes {title}", exact=True).click()
            page.locator("li[data-item]").first.wait_for()
            first = items(page)
            assert len(first) == 10
            assert "3" not in first
            page.locator("li[data-item] button.like").first.click()
            playwright.expect(page.locator("#told")).to_contain_text("The list")
            second = items(page)
            assert first[0] not in second
            assert second != first
            page.go_back()
            page.wait_for_function(
                "item => document.querySelector('li[data-item]').dataset.item === item",
                arg=first[0],
            )
            page.go_forward()
            page.wait_for_function(
                "item => document.querySelector('li[data-item]').dataset.item === item",
                arg=second[0],
            )
            page.reload()
            assert items(page) == second
            page.get_by_label("An id that nobody has").fill("ann é")
            page.get_by_role("button", name="Keep").click()
            page.get_by_role("heading", name="ann é").wait_for()
            kept = items(page)
            cookies = page.context.cookies()
    with running() as (base, _):
        options = {"storage_state": {"cookies": cookies, "origins": []}}
        with tab(browser, base, viewport={"width": 1280, "height": 800}, **options) as page:
            page.goto("/")
            page.get_by_role("link", name="ann é").click()
            page.get_by_text("told here").first.wait_for()
            assert items(page) == kept


def test_a_known_person_likes_and_asks_why_in_place(
    browser: Any, running: Callable[..., Any]
) -> None:
    with running() as (base, _), tab(browser, base) as page:
        page.goto("/person?user=1")
        before = items(page)
        title = page.locator("li[data-item] .title bdi").first.text_content()
        why = page.get_by_role("link", name=f"Why? {title}")
        why.click()
        page.locator(".because").wait_for()
        assert why.get_attribute("aria-expanded") == "true"
        assert items(page) == before
        why.click()
        assert page.locator(".because").count() == 0
        page.get_by_role("button", name=f"Like: {title}", exact=True).click()
        page.get_by_text("told here").wait_for()
        assert before[0] not in items(page)
        # The row is gone; the focus is on the same button of the row that took its place.
        at = "document.activeElement.closest('li').dataset.rank + document.activeElement.className"
        assert page.evaluate(at) == "1like"
        page.reload()
        page.get_by_text("told here").wait_for()
        page.get_by_role("link", name="Beside text only").click()
        page.get_by_role("heading", name="Text only").wait_for()
        assert "beside=text" in page.url


def test_all_of_it_works_by_keyboard(browser: Any, running: Callable[..., Any]) -> None:
    with running() as (base, _), tab(browser, base) as page:
        page.goto("/person?user=somebody")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.className") == "like":
                break
        first = items(page)[0]
        page.keyboard.press("Enter")
        page.get_by_text("told here").wait_for()
        assert first not in items(page)


def test_without_scripts_links_and_forms_do_the_same(
    browser: Any, running: Callable[..., Any]
) -> None:
    with running() as (base, _), tab(browser, base, java_script_enabled=False) as page:
        page.goto("/")
        page.get_by_role("link", name="Pick what somebody new likes").click()
        page.locator("button.like").first.click()
        assert page.locator("li[data-item]").count() == 10
        page.goto("/person?user=1")
        page.locator("li[data-item] button.like").first.click()
        assert page.get_by_text("told here").count() == 1
        page.get_by_text("Forget this person").click()
        page.get_by_role("button", name="Forget 1 for good").click()
        assert page.get_by_text("Nothing is known of 1 any more").count() == 1
        page.goto("/person?user=1&beside=run")
        assert page.locator("section.order").count() == 2
        page.get_by_role("link", name="Why?").first.click()
        assert page.locator("#why").count() == 1


def test_a_title_that_is_a_script_is_a_title(browser: Any, running: Callable[..., Any]) -> None:
    title = "<img src=x onerror=alert(1)><script>alert(1)</script>{{7*7}}"
    with running() as (base, _), tab(browser, base) as page:
        page.request.post("/v1/items", data={"item": title, "title": title})
        page.goto("/person?user=1")
        page.get_by_label("A title, however it is spelt").fill(title)
        page.locator(".hits button.like").first.click()
        page.locator(".history").get_by_text(title).wait_for()
        page.locator(".hits").get_by_role("link", name="Why?").first.click()
        page.locator(".because").wait_for()
        assert page.locator("img").count() == 0


def test_a_key_is_typed_once(browser: Any, running: Callable[..., Any], tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "w", "write")
    with running(keys=tmp_path / "keys") as (base, _):
        context = browser.new_context(base_url=base)
        page = context.new_page()
        page.goto("/person?user=1")
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("heading", name="What would they enjoy?").wait_for()
        assert page.evaluate("document.cookie") == ""
        page.goto("/person?user=1")
        page.locator("li[data-item] button.like").first.click()
        page.get_by_text("told here").wait_for()
        context.clear_cookies()
        page.locator("li[data-item] button.like").first.click()
        page.get_by_label("API key").wait_for()
        context.close()


def test_two_runs_stand_side_by_side_and_each_says_why(
    browser: Any, running: Callable[..., Any], served_beside: Path
) -> None:
    with running() as (base, _), tab(browser, base) as page:
        page.goto("/person?user=1")
        page.get_by_role("link", name=f"Beside {served_beside.name}").click()
        ours = page.locator("section[aria-labelledby=order-A]")
        other = page.locator("section[aria-labelledby=order-B]")
        other.get_by_role("heading", name=served_beside.name).wait_for()
        assert ours.locator("li").count() == other.locator("li").count() == 10
        tops = [each.locator("ol").bounding_box()["y"] for each in (ours, other)]
        assert tops[0] == tops[1]
        for each in (ours, other):
            each.get_by_role("link", name="Why?").first.click()
            each.locator(".because").wait_for()
        said = [each.locator(".because strong").text_content() for each in (ours, other)]
        shown = [each.locator(".chance .number").first.text_content() for each in (ours, other)]
        assert said == shown
        page.get_by_role("link", name="List alone").click()
        page.locator("li[data-item]").first.wait_for()


def test_a_person_is_forgotten_by_keyboard_after_a_second_thought(
    browser: Any, running: Callable[..., Any]
) -> None:
    with running() as (base, _), tab(browser, base) as page:
        page.goto("/person?user=ann")
        page.locator("li[data-item] button.like").first.click()
        page.get_by_text("told here").wait_for()
        page.get_by_role("button", name="Save as an example").click()
        page.get_by_role("button", name="Saved: take out").wait_for()
        page.reload()
        button = page.get_by_role("button", name="Forget ann for good")
        assert not button.is_visible()
        page.get_by_text("Forget this person").focus()
        page.keyboard.press("Enter")
        assert button.is_visible()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.get_by_text("Nothing is known of ann any more").wait_for()
        assert page.get_by_role("link", name="ann").count() == 0
        page.goto("/person?user=ann")
        page.get_by_text("Nobody is known by this id").wait_for()
        assert page.get_by_text("Forget this person").count() == 0
    with running() as (base, _), tab(browser, base) as page:
        page.goto("/person?user=ann")
        page.get_by_text("Nobody is known by this id").wait_for()


def test_a_service_that_goes_away_is_told_and_the_page_stays(
    browser: Any, running: Callable[..., Any]
) -> None:
    with running() as (base, _):
        context = browser.new_context(base_url=base)
        page = context.new_page()
        page.goto("/person?user=1")
        before = items(page)
    page.locator("li[data-item] button.like").first.click()
    page.get_by_text("The service does not answer").wait_for()
    assert items(page) == before
    context.close()


def test_no_page_is_wider_than_its_screen_and_all_can_use_it(
    browser: Any, running: Callable[..., Any]
) -> None:
    with running() as (base, _):
        for scheme in SCHEMES:
            for width in WIDTHS:
                options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
                with tab(browser, base, bypass_csp=True, **options) as page:
                    page.request.post("/v1/items", data={"item": "long", "title": "x" * 300})
                    pages = [*PAGES, "/new?liked=long&disliked=3", "/person?user=1&q=xxxxxx"]
                    pages += ["/new?liked=long&beside=run", "/why?user=1&item=long&by=run"]
                    for path in [*pages, "/why?user=1&item=3"]:
                        page.goto(path)
                        if page.locator("details.forget").count():
                            page.locator("details.forget summary").click()
                        wide = page.evaluate("document.documentElement.scrollWidth")
                        assert wide <= width, (path, wide)
                        if AXE:
                            page.add_script_tag(path=AXE)
                            found = page.evaluate("axe.run()")["violations"]
                            told = [
                                (each["id"], each["nodes"][0]["html"])
                                for each in found
                                if each["impact"] in ("serious", "critical")
                            ]
                            assert told == [], (path, width, scheme)
