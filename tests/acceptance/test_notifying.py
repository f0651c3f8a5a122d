"""A node in trouble tells real servers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml
from typer.testing import CliRunner

from dicom_node.cli import app
from dicom_node.notifying.channels import signature
from tests.acceptance.harness import wait_until
from tests.notifying.servers import mail_server, webhook

if TYPE_CHECKING:
    from tests.acceptance.conftest import Site


def test_people_and_programs_are_told_and_can_be_tried(fresh_site: Site) -> None:
    node = fresh_site.node  # its archive is away
    with webhook() as hook, mail_server() as box:
        values = yaml.safe_load(node.config.read_text())
        (node.folder / "webhook.key").write_text("a key\n")
        values["retention"] = {"min_free_bytes": 2**62}
        values["notifications"] = {
            "webhooks": [{"name": "duty", "url": hook.url, "secret_file": "webhook.key"}],
            "emails": [
                {
                    "name": "people",
                    "host": "127.0.0.1",
                    "port": box.port,
                    "security": "none",
                    "sender": "node@hospital.example",
                    "to": ["ada@hospital.example"],
                }
            ],
            "rules": [
                {
                    "name": "all",
                    "events": ["disk", "destination"],
                    "after_s": 0,
                    "to": ["duty", "people"],
                }
            ],
            "look_every_s": 1,
        }
        node.config.write_text(yaml.safe_dump(values))
        hook.statuses = [503]
        node.start()
        wait_until(lambda: len(hook.posted) >= 3 and len(box.letters) >= 2, 120, "all messages")
        node.stop()
        tried = CliRunner().invoke(app, ["notify", "--config", str(node.config)])
        assert (tried.exit_code, tried.stdout) == (0, "duty took it\npeople took it\n")
        box.refused = {"ada@hospital.example"}
        tried = CliRunner().invoke(app, ["notify", "people", "--config", str(node.config)])
        assert tried.exit_code == 1
        assert "people did not take it: people refused every recipient" in tried.stdout
    told = [(headers["webhook-id"], json.loads(body)) for headers, body in hook.posted[:3]]
    assert told[0] in told[1:]  # what was not taken came again
    assert {body["cause"] for _, body in told} == {"disk", "destination"}
    headers, sent = hook.posted[0]
    stamp = int(headers["webhook-timestamp"])
    assert headers["webhook-signature"] == signature("a key", headers["webhook-id"], stamp, sent)
    subjects = sorted(str(letter["Subject"]) for letter in box.letters[:2])
    assert subjects == [
        "[dicom-node SYNTH] destination pacs does not answer",
        "[dicom-node SYNTH] the disk is too full",
    ]
    assert not any("hidden" in json.dumps(line) for line in node.lines)
