"""A data set that cannot be downloaded is told soon, in one sentence."""

import logging
import os
import subprocess
import sys

import pytest
import requests
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader
from tensorflow_datasets.core.download.checksums import UrlInfo

from mobilenets import UserError
from mobilenets.data import prepare

REQUEST = requests.Request(url="https://example.org/clothes.zip")


class Builder:
    """Of a data set that is not prepared; it is downloaded by what a test gives."""

    data_dir, data_dir_root, url_infos = "/nowhere/clothes/1.0.0", "/nowhere", None
    MANUAL_DOWNLOAD_INSTRUCTIONS = None

    def __init__(self, download):
        self.info = type("Info", (), {"splits": {}})
        self._download = download

    def download_and_prepare(self, download_config):
        self._download()


def prepared_by(download, monkeypatch):
    monkeypatch.setattr(prepare, "tfds_builder", lambda *_, **__: Builder(download))
    prepare.prepare("clothes", "", "")


def test_a_host_that_cannot_be_reached_is_one_sentence(monkeypatch, caplog):
    before = downloader.MAX_RETRIES, downloader._open_url
    retries = []

    def download():
        retries.append(downloader.MAX_RETRIES)
        with downloader._open_url("https://nowhere.invalid/clothes.zip", verify=True):
            pass

    with pytest.raises(UserError) as caught:
        prepared_by(download, monkeypatch)
    assert str(caught.value).startswith(
        "clothes cannot be downloaded: nowhere.invalid cannot be reached. Check the con"
    )
    assert retries == [2]
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert (downloader.MAX_RETRIES, downloader._open_url) == before


def test_a_connection_does_not_wait_for_ever(monkeypatch):
    timeouts = []

    def get(session, url, **options):
        timeouts.append(options["timeout"])
        raise requests.exceptions.ReadTimeout(request=REQUEST)

    def download():
        with downloader._open_url("https://example.org/clothes.zip", verify=True):
            pass

    monkeypatch.setattr(requests.Session, "get", get)
    with pytest.raises(UserError, match=r"example\.org cannot be reached"):
        prepared_by(download, monkeypatch)
    assert timeouts == [(10, 60)]


def test_a_file_that_cannot_be_downloaded_may_be_put_there(monkeypatch):
    info = UrlInfo(1, "0", "clothes.zip")
    monkeypatch.setattr(Builder, "url_infos", {REQUEST.url: info})

    def download():
        raise requests.exceptions.ConnectionError(request=REQUEST)

    with pytest.raises(UserError) as caught:
        prepared_by(download, monkeypatch)
    assert str(caught.value).endswith(
        f"Or download {REQUEST.url} by other means, as "
        "/nowhere/downloads/manual/clothes.zip."
    )


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (tfds.download.DownloadError("HTTP code: 404."), "downloaded: HTTP code: 404."),
        (
            requests.exceptions.SSLError("self-signed", request=REQUEST),
            "downloaded: self-signed",
        ),
        (OSError(28, "No space left on device"), "prepared: .*No space left on device"),
    ],
)
def test_another_failure_keeps_its_reason(monkeypatch, error, message):
    def download():
        raise error

    with pytest.raises(UserError, match=f"clothes cannot be {message}"):
        prepared_by(download, monkeypatch)


def test_tensorflow_starts_in_silence():
    code = (
        "from mobilenets.runtime import start_up\nstart_up.silence_tensorflow()\n"
        "import tensorflow as tf\ntf.constant(1)"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
