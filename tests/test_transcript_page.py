"""The page of a transcript in a real browser: clicks and keys move the picture to the signs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modeling_sigma.io.annotations import Annotation
from modeling_sigma.model.pose_clip import PoseClip
from modeling_sigma.viz.transcript_page import transcript_page


pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--window-size=1200,900",
)  # fmt: skip
SIGNS = (
    Annotation(1.0, 2.0, "HELLO", "signs", scores=(("HELLO", 0.7), ("<b>BYE</b>", 0.2))),
    Annotation(3.0, 4.0, "今日は", "signs"),
    Annotation(7200.5, 7201.5, "LAST", "signs"),  # beyond the end of the recording
    Annotation(5.0, 6.5, "HOME", "signs"),
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs chromium and chromedriver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (*QUIET, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Any:
    """The page of a recording of eight seconds in which the hands move steadily to the right."""
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(100, 200, (1, 42, 2)) + np.linspace(0, 400, 200)[:, None, None] * (1, 0)
    clip = PoseClip(keypoints, np.ones((200, 42)), "hands_42", fps=25.0)
    path = tmp_path / "talk.html"
    path.write_text(transcript_page(clip, SIGNS, "Talk <1> & more"), encoding="utf-8")
    browser.get(path.as_uri())
    return browser


def _state(page: Any) -> tuple[float, str, str]:
    """The time, the picture, and which sign is marked."""
    script = """
        const marked = [...document.querySelectorAll('#signs button')].find((b) => b.ariaCurrent === 'true');
        return [Number(document.getElementById('time').value), document.getElementById('picture').toDataURL(),
                marked ? marked.textContent : ''];
    """
    return tuple(page.execute_script(script))


def _ink(page: Any) -> float:
    """Where the skeleton is in the picture, from left to right: the mean of what is drawn, from 0 to 1."""
    script = """
        const canvas = document.getElementById('picture');
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        let sum = 0, count = 0;
        for (let place = 3; place < pixels.length; place += 4)
            if (pixels[place]) { sum += (place >> 2) % canvas.width; count += 1; }
        return sum / count / canvas.width;
    """
    return float(page.execute_script(script))


def test_clicking_a_sign_moves_the_picture_there(page: Any) -> None:
    assert page.find_element("css selector", "h1").text == "Talk <1> & more"
    first, _, marked = _state(page)
    assert first == 0 and marked == ""
    buttons = page.find_elements("css selector", "#signs button")
    assert [button.text.split("\n")[1] for button in buttons] == ["HELLO", "今日は", "HOME", "LAST"]
    places, seen = [], set()
    for button, start in zip(buttons, (1.0, 3.0, 5.0)):
        button.click()
        time, picture, marked = _state(page)
        assert time == pytest.approx(start, abs=0.04) and marked.count(button.text.split("\n")[1]) == 1
        seen.add(picture)
        places.append(_ink(page))
    assert len(seen) == 3 and places[0] + 0.1 < places[1] < places[2] - 0.1
    assert page.find_element("css selector", "#now").text == "HOME"
    buttons[0].click()
    assert page.find_element("css selector", "#now").text == "HELLO, or <b>BYE</b> (20 %)"
    buttons[3].click()  # ends with the recording, and breaks nothing
    assert _state(page)[0] == pytest.approx(8, abs=0.04)


def test_the_keyboard_is_enough(page: Any) -> None:
    from selenium.webdriver import ActionChains, Keys

    def press(*keys: str) -> None:
        ActionChains(page).send_keys(*keys).perform()

    press(Keys.TAB, Keys.TAB, Keys.TAB)  # play, time, the first sign
    assert "HELLO" in page.switch_to.active_element.text
    press(Keys.ENTER)
    assert _state(page)[0] == pytest.approx(1, abs=0.04)
    left = _ink(page)
    press(Keys.ARROW_DOWN)
    time, _, marked = _state(page)
    assert time == pytest.approx(3, abs=0.04) and "今日は" in marked and "今日は" in page.switch_to.active_element.text
    assert _ink(page) > left + 0.1
    press(Keys.ARROW_UP)
    assert _state(page)[0] == pytest.approx(1, abs=0.04)
    page.execute_script("document.activeElement.blur()")
    press(Keys.SPACE)
    assert page.find_element("css selector", "#play").text == "Stop"
    page.execute_async_script("setTimeout(arguments[0], 400)")
    assert _state(page)[0] > 1.2
    if _state(page)[0] < 8:  # a slow machine may have seen the end by now, which stops by itself
        press(Keys.SPACE)
    assert page.find_element("css selector", "#play").text == "Play"


def test_nothing_is_loaded_and_nothing_goes_wrong(page: Any) -> None:
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert not [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"]


def test_on_a_phone_the_picture_stays_in_sight(browser: Any, tmp_path: Path) -> None:
    clip = PoseClip(np.random.default_rng(0).uniform(0, 400, (500, 42, 2)), np.ones((500, 42)), "hands_42", fps=25.0)
    path = tmp_path / "talk.html"
    signs = [Annotation(float(second), second + 0.8, f"SIGN {second}", "signs") for second in range(20)]
    path.write_text(transcript_page(clip, signs, "Talk"), encoding="utf-8")
    phone = {"width": 390, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        browser.get(path.as_uri())
        browser.find_elements("css selector", "#signs button")[-1].click()
        box, button = (
            browser.execute_script(f"return document.querySelector('{what}').getBoundingClientRect().toJSON()")
            for what in ("#picture", "[aria-current=true]")
        )
        assert -1 <= box["top"] < box["bottom"] < button["top"] < button["bottom"] <= 710
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390, "nothing sticks out"
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
