"""The web demo in a real browser without a network: upload, read, result, errors, keyboard."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modeling_sigma import SigmaFeatureExtractor, SigmaForSequenceClassification, save_bundle
from modeling_sigma.io import save_clip
from tests.factories import random_clip, tiny_model, tiny_processor


ROOT = Path(__file__).resolve().parents[1]

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space")
    model = tiny_model(seed=2)
    model.generation_config.max_new_tokens, model.generation_config.num_beams = 6, 1
    save_bundle(model, tiny_processor(), path / "writer")
    labels = {0: "hello", 1: "rain", 2: "snow"}
    head = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=3, id2label=labels)
    save_bundle(head, SigmaFeatureExtractor(), path / "labels")
    save_clip(path / "clip.npz", random_clip(12))
    (path / "broken.npz").write_bytes(b"this is no archive <b>")
    return path


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    pytest.importorskip("gradio", reason='needs the web demo: pip install "sigma-slu[space]"')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "SIGMA_MODELS": f"Writer={folder / 'writer'},Labels={folder / 'labels'}",
    }
    log = (folder / "log.txt").open("w")
    command = [sys.executable, str(ROOT / "examples" / "space" / "app.py")]
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}/"
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(address, timeout=5)
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline, (folder / "log.txt").read_text()[-2000:]
                time.sleep(0.3)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs chromium and chromedriver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,1400"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: Any, url: str) -> Callable[[str], Any]:
    """Opens the page anew; returns a function that waits for an element that is shown."""
    browser.get(url)

    def find(selector: str, seconds: float = 90) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            shown = [one for one in browser.find_elements("css selector", selector) if one.is_displayed()]
            if shown:
                return shown[0]
            time.sleep(0.1)
        raise AssertionError(f"nothing matches {selector}: {browser.find_element('css selector', 'body').text}")

    find("#read")
    return find


def _upload(browser: Any, page: Callable[[str], Any], path: Path) -> None:
    browser.find_element("css selector", "#file input[type=file]").send_keys(str(path))
    deadline = time.monotonic() + 60
    while path.stem not in page("#file").text:
        assert time.monotonic() < deadline, "the upload never arrived"
        time.sleep(0.1)


def _text_shown(browser: Any) -> str:
    return str(browser.find_element("css selector", "#text textarea").get_attribute("value"))


def test_upload_read_result(browser: Any, page: Callable[[str], Any], folder: Path) -> None:
    assert "does not replace an interpreter" in browser.find_element("css selector", "body").text
    _upload(browser, page, folder / "clip.npz")
    page("#read").click()
    image = page("#skeleton img")
    text = _text_shown(browser)
    assert text
    assert image.get_attribute("alt") == f"Moving skeleton of 12 frames, read as: {text}"
    assert image.get_attribute("src").startswith("data:image/gif;base64,")
    assert page("#map img").size["width"] > 300
    assert page("#message [role=status]").text == "Done."


def test_nothing_comes_from_elsewhere(browser: Any, page: Callable[[str], Any], url: str) -> None:
    names = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert names and [name for name in names if not name.startswith((url, "data:", "blob:"))] == []


def test_a_bad_file_and_no_file_are_told(browser: Any, page: Callable[[str], Any], folder: Path) -> None:
    page("#read").click()
    assert "No file yet: drop a skeleton file" in page("#message [role=alert]").text
    _upload(browser, page, folder / "broken.npz")
    page("#read").click()
    deadline = time.monotonic() + 60
    while "broken.npz" not in page("#message [role=alert]").text:
        assert time.monotonic() < deadline, page("#message").text
        time.sleep(0.1)
    assert str(folder) not in page("#message").text and "/tmp" not in page("#message").text, "no paths of the server"
    assert not browser.find_elements("css selector", "#skeleton img") and _text_shown(browser) == ""


def test_examples_and_keyboard(browser: Any, page: Callable[[str], Any]) -> None:
    """With the keyboard alone: an example, then the button, then the result."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def tab_to(wanted: Callable[[Any], bool]) -> None:
        for _ in range(40):
            ActionChains(browser).send_keys(Keys.TAB).perform()
            if wanted(browser.switch_to.active_element):
                return
        raise AssertionError("the tabulator never gets there")

    tab_to(lambda element: "sentence 1" in element.text and element.tag_name == "button")
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    deadline = time.monotonic() + 60
    while "sentence" not in page("#file").text:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    tab_to(lambda element: element.get_attribute("id") == "read")
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    assert "Moving skeleton" in page("#skeleton img").get_attribute("alt")


def test_another_model_names_signs(browser: Any, page: Callable[[str], Any], folder: Path) -> None:
    _upload(browser, page, folder / "clip.npz")
    page("input[aria-label=Model]").click()
    next(one for one in browser.find_elements("css selector", "[role=option]") if "Labels" in one.text).click()
    page("#read").click()
    page("#skeleton img")
    lines = _text_shown(browser).splitlines()
    assert len(lines) == 3 and {line.split()[0] for line in lines} == {"hello", "rain", "snow"}
    assert all(line.endswith("%)") for line in lines)
