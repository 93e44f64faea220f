"""The report of a sweep holds the sweep's numbers, and opens in a browser."""

import csv
import os
import pathlib
import platform
import random
import re

import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By

from mobilenets import UserError
from mobilenets.sweeps.definition import Choices, Sweep
from mobilenets.sweeps.report.page import of_sweep, write
from tests.sweeps.made_up import result

SWEEP = Sweep(
    config="configs/quickstart.py",
    values={"epochs": 6.0},
    parameters={
        "model.width_multiplier": Choices(values=(0.5, 1.0)),
        "seed": Choices(values=(0, 1)),
    },
)
PICTURES = {"accuracy_madds.png", "accuracy_values.png", "training_curves.png"}


def point(number, width, seed, accuracy, **changes):
    values = {"model.width_multiplier": width, "seed": seed}
    changes = {"madds": int(2_000_000 * width), "parameters": 123_456} | changes
    return result(number, accuracy, values=values, **changes)


RESULTS = [
    point(0, 0.5, 0, 0.70),
    point(1, 0.5, 1, 0.73),
    point(2, 1.0, 0, 0.9125, command="python train.py --workdir 'a b'"),
    point(3, 1.0, 1, None, state="failed", error="the loss is not finite"),
]


def written(folder, results, latencies=None):
    """The page of a report, after it was written."""
    write(of_sweep(SWEEP, results), results, latencies or {}, folder)
    return (folder / "report.html").read_text()


def test_the_table_holds_every_point_exactly(tmp_path):
    written(tmp_path, RESULTS, {2: 0.0123456789})
    with (tmp_path / "points.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == ["0", "1", "2", "3"]
    assert rows[2] == {
        "number": "2",
        "state": "finished",
        "model.width_multiplier": "1.0",
        "seed": "0",
        "network": "mobilenet_v2",
        "resolution": "32",
        "parameters": "123456",
        "madds": "2000000",
        "latency_ms": "12.3457",
        "accuracy": "0.9125",
        "error": "",
        "command": "python train.py --workdir 'a b'",
    }
    assert rows[3]["state"] == "failed"
    assert rows[3]["error"] == "the loss is not finite"
    assert rows[3]["accuracy"] == rows[3]["latency_ms"] == ""


def test_the_files_are_pictures_and_nothing_is_left_beside_them(tmp_path):
    folder = tmp_path / "new/report"
    written(folder, RESULTS)
    names = {path.name for path in folder.iterdir()}
    assert names == PICTURES | {"report.html", "points.csv"}
    for name in PICTURES:
        Image.open(folder / name).verify()


def test_the_page_needs_no_other_file(tmp_path):
    page = written(tmp_path, RESULTS)
    assert page.count('src="data:image/png;base64,') == page.count("src=") == 3
    assert "http" not in page


def test_the_head_of_the_page_tells_what_was_run_and_the_best(tmp_path):
    page = written(tmp_path, RESULTS).replace("\u00a0", " ")
    terms = re.findall("<dt>(.*)</dt><dd>(.*)</dd>", page)
    thin = "points 0, 1 (width_multiplier 0.5): 71.5 % with 1 M MAdds"
    wide = "points 2, 3 (width_multiplier 1): 91.2 % with 2 M MAdds"
    assert dict(terms) == {
        "network": "mobilenet_v2",
        "search": "grid over model.width_multiplier, seed",
        "in all points": "epochs 6",
        "points": "4: 3 finished, 1 failed",
        "accuracy": "top1 of the averaged weights on val, at the last evaluation",
        "most accurate": wide,
        "front by MAdds": f"2 of 2: {thin} to {wide}",
    }


def test_a_pruned_point_may_be_the_most_accurate_but_says_what_it_is(tmp_path):
    results = [point(0, 0.5, 0, 0.9, state="pruned"), point(1, 1.0, 0, 0.8)]
    page = written(tmp_path, results).replace("\u00a0", " ")
    assert "point 0 (width_multiplier 0.5, pruned): 90.0 % with 1 M MAdds" in page
    assert "1 of 2: point 1 (width_multiplier 1): 80.0 % with 2 M MAdds" in page
    assert "4: 1 pruned, 1 finished, 2 not chosen yet" in page


def test_without_latencies_the_page_says_so_and_an_old_picture_goes(tmp_path):
    page = written(tmp_path, RESULTS, {i: 0.001 * (1 + i) for i in range(4)})
    assert (tmp_path / "accuracy_latency.png").exists()
    assert "Latency was" not in page
    page = written(tmp_path, RESULTS, {0: 0.001})
    assert "Latency was measured for 1 of 2 rows only" in page
    page = written(tmp_path, RESULTS)
    assert "Latency was not measured" in page
    assert not (tmp_path / "accuracy_latency.png").exists()


@pytest.mark.parametrize(
    "results",
    [[point(i, 0.5, i, None, state="waiting") for i in range(4)], []],
    ids=["all waiting", "no points"],
)
def test_a_sweep_that_has_not_begun_has_a_page(tmp_path, results):
    page = written(tmp_path, results)
    assert "no point has been evaluated" in page
    assert "<img" not in page
    assert not list(tmp_path.glob("*.png"))


def test_names_are_no_html(tmp_path):
    evil = "<script>alert('&')</script>"
    results = [
        point(0, 0.5, 0, None, state="failed", error=evil, command=f"echo {evil}"),
        result(1, values={evil: evil}, network=evil),
    ]
    page = written(tmp_path, results)
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;") >= 4


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    before = written(tmp_path, RESULTS)

    def fill_the_disk(path, content):
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", fill_the_disk)
    with pytest.raises(UserError, match=r"cannot be written to .*: No space left"):
        written(tmp_path, RESULTS[:1])
    assert (tmp_path / "report.html").read_text() == before
    for name in PICTURES:
        Image.open(tmp_path / name).verify()


def realistic(count, seed=0):
    """Points of three families at several widths and resolutions."""
    draw = random.Random(seed)
    families = ["mobilenet_v1", "mobilenet_v2", "efficientnet_b0"]
    results = []
    for i in range(count):
        network = families[i % 3]
        width, pixels = draw.choice([0.35, 0.5, 0.75, 1.0]), draw.choice([16, 24, 32])
        madds = int(3e7 * (1 + i % 3) * width**2 * (pixels / 32) ** 2)
        accuracy = 0.93 - 0.1 * (1e6 / madds) ** 0.4 + draw.gauss(0, 0.008)
        results.append(
            result(
                i,
                accuracy,
                network=network,
                values={
                    "model.name": network,
                    "model.width_multiplier": width,
                    "model.resolution": pixels,
                },
                resolution=pixels,
                madds=madds,
                parameters=int(4e6 * width**2),
                state="pruned" if i % 9 == 8 else "finished",
                command="python train.py --config configs/quickstart.py "
                f"--config.model.width_multiplier={width} --workdir runs/sweep/{i:03}",
            )
        )
    return results


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Debian's Chromium, without a window."""
    driver = pathlib.Path("/usr/bin/chromedriver")
    if not driver.exists():
        pytest.fail(
            f"The report is tested in a browser, but there is no {driver}: "
            "apt-get install chromium chromium-driver"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (
        *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run"),
        *("disable-background-networking", "disable-component-update", "disable-sync"),
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
        "window-size=1200,1600",
    ):
        options.add_argument(f"--{flag}")
    service = webdriver.ChromeService(str(driver))
    with webdriver.Chrome(options, service) as browser:
        yield browser


def open_page(browser, folder):
    browser.get((folder / "report.html").as_uri())


def cells(browser, table):
    """The texts of a table's body, row by row."""
    rows = browser.find_elements(By.CSS_SELECTOR, f"#{table} tbody tr")
    return [[c.text for c in row.find_elements(By.TAG_NAME, "td")] for row in rows]


def test_a_browser_shows_the_entries_by_accuracy(browser, tmp_path):
    written(tmp_path, RESULTS, {2: 0.0123456789})
    open_page(browser, tmp_path)
    headings = [e.text for e in browser.find_elements(By.CSS_SELECTOR, "#points th")]
    assert headings == [
        *("point", "width_multiplier", "parameters", "MAdds", "latency, ms"),
        *("accuracy, %", "over seeds", "seeds", "on the front by", "state"),
    ]
    wide, error, thin = cells(browser, "points")
    assert wide == [
        *("2, 3", "1", "123,456", "2,000,000", "12.3", "91.25", "", "1 of 2"),
        "MAdds, parameters, latency",
        "finished",
    ]
    assert error == ["point 3 failed: the loss is not finite"]
    assert thin == [
        *("0, 1", "0.5", "123,456", "1,000,000", "", "71.50", "70.00 to 73.00", "2"),
        *("MAdds", "finished"),
    ]


def test_a_browser_marks_the_front_and_no_pruned_point(browser, tmp_path):
    results = [
        point(0, 0.5, 0, 0.95, state="pruned", madds=1),
        point(1, 1.0, 0, 0.90),
        point(2, 2.0, 0, 0.80),
    ]
    written(tmp_path, results)
    open_page(browser, tmp_path)
    (marked,) = browser.find_elements(By.CSS_SELECTOR, "#points tr.front")
    assert marked.text.startswith("1 1 123,456 2,000,000 90.00")
    assert [row[0] for row in cells(browser, "points")] == ["0", "1", "2"]


def test_a_browser_shows_the_commands_when_they_are_asked_for(browser, tmp_path):
    written(tmp_path, RESULTS)
    open_page(browser, tmp_path)
    browser.find_element(By.TAG_NAME, "summary").click()
    assert cells(browser, "commands")[2] == ["2", RESULTS[2].command]


@pytest.mark.slow
def test_a_click_on_a_heading_sorts_the_table(browser, tmp_path):
    results = [
        result(0, 0.5),
        result(1, 0.9),
        result(2, None, state="failed", error="e"),
    ]
    written(tmp_path, [*results, result(3, 0.7)])
    open_page(browser, tmp_path)
    heading = browser.find_element(By.CSS_SELECTOR, "#points th")
    orders = []
    for _ in range(2):
        heading.click()
        orders.append([row[0] for row in cells(browser, "points") if len(row) > 1])
    assert orders == [["0", "1", "2", "3"], ["3", "2", "1", "0"]]
    after_2 = browser.find_element(By.CSS_SELECTOR, "#points tr.failed + tr")
    assert "2 failed: e" in after_2.text


def test_the_page_says_what_its_numbers_are_and_where_the_runs_are(tmp_path):
    key = "val/ema/top1"
    results = [
        result(n, records=[{"step": 1, key: 0.5, "val/ema/count": 1000.0}])
        for n in range(2)
    ]
    write(of_sweep(SWEEP, results), results, {0: 0.001}, tmp_path / "report")
    page = (tmp_path / "report/report.html").read_text()
    assert (
        "top1 of the averaged weights on 1,000 images of val, at the last evaluation"
        in page
    )
    assert f"of one image, the median on {platform.node()}" in page
    assert f'href="{os.path.relpath("points/001", tmp_path / "report")}"' in page


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 400])
def test_a_browser_loads_all_pictures_and_need_not_scroll_sideways(
    browser, tmp_path, width
):
    results = realistic(40)
    write(
        of_sweep(SWEEP, results),
        results,
        {r.number: r.madds * 1e-10 for r in results},
        tmp_path,
    )
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 1600, "deviceScaleFactor": 1, "mobile": False},
    )
    open_page(browser, tmp_path)
    browser.find_element(By.TAG_NAME, "summary").click()
    pictures = browser.find_elements(By.TAG_NAME, "img")
    assert len(pictures) == 5
    for picture in pictures:
        assert int(picture.get_property("naturalWidth")) > 0
        assert picture.get_attribute("alt")
    assert browser.execute_script("return innerWidth") == width
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width
