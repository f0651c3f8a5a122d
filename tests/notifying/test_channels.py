"""Messages reach real servers, signed and secured, and say why when they do not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING

import pytest

from dicom_node.domain.errors import ConfigurationError, PeerError
from dicom_node.domain.notices import SmtpSecurity
from dicom_node.notifying.channels import Email, Webhook, signature
from dicom_node.notifying.wording import Message
from tests.network.certificates import Authority
from tests.network.objects import free_port
from tests.notifying.servers import mail_server, webhook

if TYPE_CHECKING:
    from pathlib import Path

SAID = Message(
    id="msg_1",
    at=1.0,
    subject="[dicom-node SYNTH] destination pacs does not answer",
    text="Größer als gedacht.\n",
    data={"cause": "destination", "subject": "pacs", "turn": "began"},
)
KEY = "whsec_" + base64.b64encode(b"k" * 24).decode()


def hook_to(url: str, trusted: Path | None = None) -> Webhook:
    return Webhook(name="duty", url=url, secret=lambda: KEY, trusted=trusted)


def mail_to(port: int, **changes: object) -> Email:
    values: dict[str, object] = {
        "name": "people",
        "host": "127.0.0.1",
        "port": port,
        "security": SmtpSecurity.NONE,
        "sender": "node@hospital.example",
        "to": ("ada@hospital.example", "bob@hospital.example"),
    }
    return Email(**(values | changes))  # type: ignore[arg-type]


def test_a_signature_is_that_of_the_specification() -> None:
    # The example of the specification "Standard Webhooks".
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_webhook_is_posted_with_a_signature_that_holds() -> None:
    with webhook() as hook:
        hook_to(hook.url).send(SAID, 1_900_000_000.7)
    ((headers, body),) = hook.posted
    assert json.loads(body) == {
        "id": "msg_1",
        "cause": "destination",
        "subject": "pacs",
        "turn": "began",
        "title": SAID.subject,
        "text": SAID.text,
    }
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", "1900000000")
    signed = b"msg_1.1900000000." + body
    expected = base64.b64encode(hmac.new(b"k" * 24, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


@pytest.mark.parametrize("status", [302, 404, 410, 500])
def test_a_webhook_that_is_not_taken_is_told_by_name_and_never_by_its_address(status: int) -> None:
    with webhook() as hook:
        hook.statuses = [status]
        with pytest.raises(PeerError, match=f"duty answered with status {status}") as caught:
            hook_to(hook.url).send(SAID, 1.0)
    assert "hidden" not in str(caught.value)
    assert len(hook.posted) == 1  # nothing followed the redirection


def test_who_is_not_there_is_told_without_an_address() -> None:
    url = f"http://127.0.0.1:{free_port()}/hidden"
    with pytest.raises(PeerError, match="duty was not reached") as caught:
        hook_to(url).send(SAID, 1.0)
    assert "hidden" not in str(caught.value)
    with pytest.raises(PeerError, match="people was not reached"):
        mail_to(free_port()).send(SAID, 1.0)


def test_tls_needs_an_authority_that_is_trusted(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    with webhook(pair) as hook:
        with pytest.raises(PeerError, match="its certificate is not trusted"):
            hook_to(hook.url).send(SAID, 1.0)
        hook_to(hook.url, authority.path).send(SAID, 1.0)
    assert len(hook.posted) == 1
    with mail_server(pair, password="open sesame") as box:
        secured = {"security": SmtpSecurity.STARTTLS, "username": "node"}
        with pytest.raises(PeerError, match="its certificate is not trusted"):
            mail_to(box.port, password=lambda: "open sesame", **secured).send(SAID, 1.0)
        secured |= {"trusted": authority.path}
        with pytest.raises(PeerError, match="people answered with status 535"):
            mail_to(box.port, password=lambda: "wrong", **secured).send(SAID, 1.0)
        mail_to(box.port, password=lambda: "open sesame", **secured).send(SAID, 1.0)
    assert len(box.letters) == 1


def test_a_mail_reaches_all_its_people_and_says_what_it_is() -> None:
    with mail_server() as box:
        mail_to(box.port).send(SAID, 1.0)
    (letter,) = box.letters
    assert box.recipients == [["ada@hospital.example", "bob@hospital.example"]]
    assert letter["Subject"] == SAID.subject
    assert letter["Message-ID"] == "<msg_1@hospital.example>"
    assert letter["Auto-Submitted"] == "auto-generated"
    payload = letter.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().strip() == SAID.text.strip()


def test_a_mail_that_nobody_takes_is_a_failure_and_one_that_somebody_takes_is_none() -> None:
    with mail_server() as box:
        box.busy = 1
        with pytest.raises(PeerError, match="people answered with status 451"):
            mail_to(box.port).send(SAID, 1.0)
        box.refused = {"ada@hospital.example"}
        mail_to(box.port).send(SAID, 1.0)
        assert box.recipients == [["bob@hospital.example"]]
        box.refused.add("bob@hospital.example")
        with pytest.raises(PeerError, match="people refused every recipient"):
            mail_to(box.port).send(SAID, 1.0)


def test_a_secret_or_an_authority_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no base64"):
        signature("whsec_?", "msg_1", 1, b"")
    with pytest.raises(ConfigurationError, match="duty: trusted cannot be read"):
        hook_to("https://127.0.0.1:1/", tmp_path / "none.pem").send(SAID, 1.0)
