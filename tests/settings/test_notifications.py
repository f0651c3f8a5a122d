"""Who is told of what: what the section takes, and what it refuses with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dicom_node.domain.alarms import Cause
from dicom_node.domain.errors import ConfigurationError
from dicom_node.notifying.channels import Email, Webhook
from dicom_node.notifying.composing import channels_of

if TYPE_CHECKING:
    from collections.abc import Callable

NODE = "node: {ae_title: A}\nnotifications:\n"
HOOK = "  webhooks: [{name: duty, url: 'https://a.example/h?t=1', secret_env: HOOK_KEY}]\n"
MAIL = "  emails: [{name: mail, host: m.example, sender: n@a.example, to: [b@a.example]}]\n"


def test_channels_and_rules_become_what_they_say(
    load_text: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = "  rules: [{name: r, events: [disk, engine], after_s: 60, to: [duty, mail]}]"
    settings = load_text(NODE + HOOK + MAIL + rule)
    monkeypatch.setenv("HOOK_KEY", "a key")
    hook, mail = channels_of(settings).values()
    assert isinstance(hook, Webhook)
    assert isinstance(mail, Email)
    assert hook.secret() == "a key"
    assert "a key" not in repr(hook)
    assert (mail.host, mail.port, mail.to) == ("m.example", 587, ("b@a.example",))
    made = settings.notifications.rules[0].to_domain()
    assert made.causes == {Cause.DISK, Cause.ENGINE}
    assert (made.after_s, made.to) == (60.0, ("duty", "mail"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HOOK.replace(", secret_env: HOOK_KEY", ""), "give secret_file or secret_env"),
        (HOOK.replace("https:", "ftp:"), "give http://HOST/PATH or https://HOST/PATH"),
        (HOOK.replace("//a", "//u:p@a"), "a password does not stand in the configuration"),
        (MAIL.replace("n@a.example", "nobody"), "give an address as name@example.org"),
        (MAIL.replace("sender", "username: n, sender"), "username needs password_file"),
        (
            MAIL.replace("sender", "username: n, password_env: P, security: none, sender"),
            "a password is not sent in the clear",
        ),
        (HOOK + MAIL.replace("name: mail", "name: duty"), "'duty' stands twice"),
        (
            MAIL + "  rules: [{name: r, events: [disk], to: [mial]}]",
            r"notifications\.rules\[0\]\.to\[0\].*no webhook or email is named 'mial'.*mail",
        ),
        (
            MAIL + "  rules: [{name: r, events: [destination], destinations: [x], to: [mail]}]",
            "no destination is named 'x'",
        ),
        (
            MAIL + "  rules: [{name: r, events: [disk], to: [mail], text: '$patient'}]",
            r"\$patient is nothing a notification can say",
        ),
        (
            MAIL + "  rules: [{name: r, events: [disk], to: [mail], text: '5 $'}]",
            r"is written \$\$",
        ),
        (MAIL + "  rules: [{name: r, events: [fire], to: [mail]}]", "events"),
    ],
)
def test_what_would_tell_nobody_is_refused(
    load_text: Callable[[str], Any], text: str, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load_text(NODE + text)
