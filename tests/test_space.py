"""The web demo in a real browser without a network: upload, read, result, errors, keyboard."""

import base64
import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modeling_sigma import (
    SigmaFeatureExtractor,
    SigmaForCTC,
    SigmaForPreTraining,
    SigmaForSequenceClassification,
    SigmaModel,
    load_pipeline,
    save_bundle,
)
from modeling_sigma.io import load_clip, save_clip
from modeling_sigma.model.calibration_sigma import Calibration
from tests.factories import random_clip, tiny_model, tiny_processor
from tests.space_server import space_server


pytestmark = pytest.mark.slow

LABELS = {0: "hello", 1: "rain", 2: "snow"}
MODELS = ("writer", "labels", "calibrated", "named", "glosses", "both", "compares", "newer")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space")
    model = tiny_model(seed=2)
    model.generation_config.max_new_tokens, model.generation_config.num_beams = 6, 1
    save_bundle(model, tiny_processor(), path / "writer")
    head = tiny_model(SigmaForSequenceClassification, use_prompt=False, num_labels=3, id2label=LABELS)
    save_bundle(head, SigmaFeatureExtractor(), path / "labels")
    (path / "writer" / "examples").mkdir()
    save_clip(path / "writer" / "examples" / "sentence 1.npz", random_clip(12))
    named = tiny_model(seed=2, id2label=LABELS)
    save_bundle(named, tiny_processor(), path / "named")
    glosses = tiny_model(SigmaForCTC, use_prompt=False, seed=1, id2label={0: "<blank>", 1: "RAIN", 2: "SNOW"})
    save_bundle(glosses, SigmaFeatureExtractor(), path / "glosses")
    both = tiny_model(SigmaForPreTraining, seed=2)
    save_bundle(both, tiny_processor(), path / "both")
    save_bundle(tiny_model(SigmaModel), tiny_processor(), path / "compares")
    save_bundle(head, SigmaFeatureExtractor(), path / "newer")
    head.config.calibration = Calibration(1.0, -100.0, 0.0, 0.05, [0.5, 0.9], [0.4, 0.01], "clips", 50).as_dict()
    save_bundle(head, SigmaFeatureExtractor(), path / "calibrated")
    config = json.loads((path / "newer" / "config.json").read_text())
    (path / "newer" / "config.json").write_text(json.dumps({**config, "sigma_slu_version": "99.0"}))
    save_clip(path / "clip.npz", random_clip(12))
    (path / "broken.npz").write_bytes(b"this is no archive <b>")
    return path


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    pytest.importorskip("gradio", reason='needs the web demo: pip install "sigma-slu[space]"')
    with space_server({name: folder / name for name in MODELS}, folder / "log.txt") as (address, _):
        yield address


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


def _choose(browser: Any, page: Callable[[str], Any], model: str) -> None:
    page("input[aria-label=Model]").click()
    page("[role=option]")  # the list opens a moment after the click
    next(one for one in browser.find_elements("css selector", "[role=option]") if model in one.text).click()


def _rows(browser: Any) -> list[tuple[str, str]]:
    """First and last cell of each row of the result; the last one is empty where no score is shown."""
    rows = browser.find_elements("css selector", "#result tr")
    cells = [row.find_elements("css selector", "th, td") for row in rows]
    return [(row[0].text, row[-1].text if len(row) > 1 else "") for row in cells]


def _picture(image: Any) -> Image.Image:
    kind, data = image.get_attribute("src").split(",", 1)
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_upload_read_result(browser: Any, page: Callable[[str], Any], folder: Path) -> None:
    assert "does not replace an interpreter" in browser.find_element("css selector", "body").text
    _upload(browser, page, folder / "clip.npz")
    page("#read").click()
    image = page("#skeleton img")
    text = page("#result .sentence").text
    assert text
    assert image.get_attribute("alt") == f"Moving skeleton of 12 frames, read as: {text}"
    assert image.get_attribute("src").startswith("data:image/gif;base64,")
    assert page("#map img").size["width"] > 300
    assert page("#map img").get_attribute("alt").startswith("Where the model looked while it wrote each word")
    assert page("#map figcaption").text == page("#map img").get_attribute("alt")
    assert _picture(page("#map img")).convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert browser.find_element("css selector", "#message").text == ""


def test_a_visitor_sees_what_it_does_before_anything_is_read(browser: Any, page: Callable[[str], Any]) -> None:
    assert page("#head h1").text == "What does this signing say?" and "Sigma" in browser.title
    assert "Your answer appears here" in page("#result .empty").text
    assert "About this model: writer" in page("#about").text
    assert "switched off" in page("#no-videos").text, "rather than an error after an upload"
    for width in (390, 1300):
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        time.sleep(0.5)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_only_the_controls_that_act_on_the_model(browser: Any, page: Callable[[str], Any]) -> None:
    def shown(selector: str) -> bool:
        return any(one.is_displayed() for one in browser.find_elements("css selector", selector))

    assert shown("#texts") and shown("input[aria-label='Language to write']") and not shown("#listed")
    _choose(browser, page, "calibrated")
    page("#listed")
    assert not shown("#texts") and not shown("input[aria-label='Language to write']")
    assert page("#head h1").text == "Which sign is this?"


def test_a_sign_is_taught_found_and_removed(browser: Any, page: Callable[[str], Any], folder: Path) -> None:
    _upload(browser, page, folder / "clip.npz")
    page("#label textarea, #label input").send_keys("my house")
    page("#teach").click()
    _until(lambda: "Taught “my house”." in page("#taught").text)
    page("#read").click()
    assert "my house" in page("#signs table").text
    assert page("#download").text == "Download your signs"
    page("#forget").click()
    _until(lambda: "nothing of it is left" in page("#taught").text)
    assert not [one for one in browser.find_elements("css selector", "#forget") if one.is_displayed()]


def _until(is_true: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_nothing_comes_from_elsewhere(browser: Any, page: Callable[[str], Any], url: str) -> None:
    names = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert names and [name for name in names if not name.startswith((url, "data:", "blob:"))] == []


def test_a_bad_file_and_no_file_are_told(browser: Any, page: Callable[[str], Any], folder: Path) -> None:
    page("#read").click()
    assert "There is nothing to read yet" in page("#message [role=alert]").text
    _upload(browser, page, folder / "broken.npz")
    page("#read").click()
    deadline = time.monotonic() + 60
    while "broken.npz" not in page("#message [role=alert]").text:
        assert time.monotonic() < deadline, page("#message").text
        time.sleep(0.1)
    assert str(folder) not in page("#message").text and "/tmp" not in page("#message").text, "no paths of the server"
    for output in ("#skeleton img", "#map img", "#result p", "#result table"):
        assert not browser.find_elements("css selector", output), output


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


def test_a_dark_page_has_dark_pictures(browser: Any, page: Callable[[str], Any], url: str, folder: Path) -> None:
    browser.get(f"{url}?__theme=dark")
    page("#read")
    _upload(browser, page, folder / "clip.npz")
    page("#read").click()
    assert max(_picture(page("#map img")).convert("RGB").getpixel((0, 0))) < 40


@pytest.mark.parametrize("model", ["labels", "named", "calibrated"])
def test_labels_have_scores_only_if_calibrated(
    model: str, browser: Any, page: Callable[[str], Any], folder: Path
) -> None:
    """A label head without and with calibration, and a model that writes whose configuration names labels."""
    _upload(browser, page, folder / "clip.npz")
    _choose(browser, page, model)
    page("#read").click()
    page("#skeleton img")
    rows = _rows(browser)
    assert {label for label, _ in rows} == set(LABELS.values())
    if model == "calibrated":
        shares = [int(share.removesuffix("%")) for _, share in rows]
        assert shares == sorted(shares, reverse=True) and 98 <= sum(shares) <= 102
        bars = browser.find_elements("css selector", "#result .track div")
        assert bars[0].size["width"] >= bars[-1].size["width"]
        assert "in 10 answers like this one are right" in page("#result").text
    else:
        assert "%" not in page("#result").text and f"first guess: {rows[0][0]}" in page("#result .sentence").text
        assert page("#skeleton img").get_attribute("alt").endswith(f"read as: {rows[0][0]}")
    assert not browser.find_elements("css selector", "#map img")


def test_a_writer_chooses_among_texts(browser: Any, page: Callable[[str], Any], folder: Path) -> None:
    _upload(browser, page, folder / "clip.npz")
    page("#texts textarea").send_keys("hello world\n\n rain in the north")
    page("#read").click()
    page("#skeleton img")
    assert {text for text, _ in _rows(browser)} == {"hello world", "rain in the north"}


def test_glosses_have_times(browser: Any, page: Callable[[str], Any], folder: Path) -> None:
    clip = load_clip(folder / "clip.npz")
    spans = load_pipeline(folder / "glosses")(clip)["spans"]
    _upload(browser, page, folder / "clip.npz")
    _choose(browser, page, "glosses")
    page("#read").click()
    image = page("#skeleton img")
    expected = [(one["gloss"], f"{one['start_seconds']:.2f} to {one['end_seconds']:.2f} s") for one in spans]
    assert expected and _rows(browser) == expected
    assert image.get_attribute("alt").endswith("read as: " + " ".join(one["gloss"] for one in spans))


def test_words_are_aligned_with_frames(browser: Any, page: Callable[[str], Any], folder: Path) -> None:
    """A pre-training model aligns what it writes, or the best of the texts that it is given."""
    _upload(browser, page, folder / "clip.npz")
    _choose(browser, page, "both")
    page("#read").click()
    written = page("#map img")
    assert written.get_attribute("alt").startswith("Which moments of the clip fit each word")
    assert page("#result .sentence").text
    page("#texts textarea").send_keys("hello world\nrain")
    page("#read").click()
    page("#result table")
    rows = _rows(browser)
    assert {text for text, _ in rows} == {"hello world", "rain"}
    cosines = [float(score) for _, score in rows]
    assert cosines == sorted(cosines, reverse=True) and all(-1 <= score <= 1 for score in cosines)
    assert page("#skeleton img").get_attribute("alt").endswith(f"read as: {rows[0][0]}")


@pytest.mark.parametrize(
    ("model", "texts", "message"),
    [
        ("compares", "", "This model compares clips with texts: write one or more"),
        ("newer", "", "was written by sigma-slu 99.0, and this is"),
    ],
)
def test_what_a_model_cannot_do_is_told(
    model: str, texts: str, message: str, browser: Any, page: Callable[[str], Any], folder: Path
) -> None:
    _upload(browser, page, folder / "clip.npz")
    _choose(browser, page, model)
    if texts:
        page("#texts textarea").send_keys(texts)
    page("#read").click()
    said = page("#message [role=alert]").text
    assert message in said and str(folder) not in said
