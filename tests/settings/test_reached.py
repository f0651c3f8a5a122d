"""A destination has an AE title and an address, or the URL of a DICOMweb service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dicom_node.domain.errors import ConfigurationError
from dicom_node.domain.webaccess import Retrieve
from dicom_node.settings.sections import DestinationSettings


def destination(**values: Any) -> DestinationSettings:
    return DestinationSettings.model_validate({"name": "vna", **values})


ADDRESS = {"ae_title": "VNA", "host": "vna", "port": 104}


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://vna.hospital/dicom-web/", "vna.hospital", 443),
        ("http://10.1.2.3:8042/dicom-web", "10.1.2.3", 8042),
    ],
)
def test_a_url_gives_host_and_port_and_the_name_stands_for_the_title(
    url: str, host: str, port: int
) -> None:
    made = destination(url=url).to_domain()
    assert (made.host, made.port, made.ae_title) == (host, port, "vna")
    assert made.web is not None
    assert made.web.url == url.rstrip("/")
    assert made.web.authorization is None


def test_an_address_is_spoken_to_by_dimse() -> None:
    made = destination(**ADDRESS, retrieve="move").to_domain()
    assert made.web is None
    assert made.retrieve is Retrieve.MOVE


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "ae_title, host, port: is missing"),
        ({"ae_title": "VNA"}, "host, port: is missing"),
        ({**ADDRESS, "url": "http://vna"}, "give either a url"),
        ({**ADDRESS, "authorization_env": "TOKEN"}, "authorization is for a url"),
        ({"url": "ftp://vna"}, "https://HOST/PATH"),
        ({"url": "http://vna:port"}, "https://HOST/PATH"),
        ({"url": "http://me:secret@vna"}, "a password does not stand"),
        ({"url": "http://vna/?a=b"}, "neither"),
        ({"url": "http://vna", "commitment": "required"}, "there is none by DICOMweb"),
        ({"url": "http://vna", "retrieve": "move"}, "WADO-RS"),
        ({"url": "http://vna", "tls": {}}, "with https"),
        ({"url": "http://v", "authorization_env": "A", "authorization_file": "f"}, "not both"),
    ],
)
def test_what_contradicts_itself_is_told(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        destination(**values)
    assert said in str(raised.value)


def test_a_token_is_read_when_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    web = destination(url="http://vna", authorization_file=str(file)).to_domain().web
    assert web is not None
    assert web.authorization is not None
    with pytest.raises(ConfigurationError, match="cannot be read"):
        web.authorization()
    file.write_text("Bearer one\n")
    assert web.authorization() == "Bearer one"
    file.write_text("Bearer two\n")
    assert web.authorization() == "Bearer two"
    monkeypatch.setenv("VNA_TOKEN", "Bearer three")
    web = destination(url="http://vna", authorization_env="VNA_TOKEN").to_domain().web
    assert web is not None
    assert web.authorization is not None
    assert web.authorization() == "Bearer three"
