"""TLS as it is configured: what is required of whom, and what cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dicom_node.domain.security import TlsProfile

if TYPE_CHECKING:
    from tests.settings.conftest import Load, Problems

TLS = """
node: {ae_title: SYNTH}
tls: {certificate: node.pem, key: node.key, trusted: ca.pem}
peers:
  - {name: a, ae_title: A}
  - {name: b, ae_title: B, require_tls: false, host: 10.1.2.0/24}
  - {name: c, ae_title: C, require_tls: false, subject: {commonName: c}}
destinations:
  - {name: x, ae_title: X, host: x.hospital, port: 104}
  - {name: y, ae_title: Y, host: y.hospital, port: 104, tls: {}}
  - {name: z, ae_title: Z, host: z.hospital, port: 104, tls: {trusted: z.pem, check_host: false}}
"""


def test_with_tls_nothing_is_plain_unless_it_is_asked_for(load_text: Load) -> None:
    settings = load_text(TLS)
    assert (settings.plain_port(), settings.tls_port()) == (None, 11112)
    assert [peer.require_tls for peer in settings.to_peers()] == [True, False, True]
    both = load_text(TLS.replace("tls: {cert", "tls: {port: 2762, cert"))
    assert (both.plain_port(), both.tls_port()) == (11112, 2762)


def test_without_tls_everything_is_plain(load_text: Load) -> None:
    settings = load_text("node: {ae_title: S}\npeers: [{name: a, ae_title: A}]")
    assert (settings.plain_port(), settings.tls_port()) == (11112, None)
    assert settings.to_tls() is None
    assert not settings.to_peers()[0].require_tls


def test_a_destination_takes_the_files_of_the_node_where_it_names_none(load_text: Load) -> None:
    plain, own, partly = load_text(TLS).to_destinations()
    assert plain.tls is None
    assert own.tls is not None
    assert partly.tls is not None
    assert [f.name for f in (own.tls.files.key, own.tls.files.trusted)] == ["node.key", "ca.pem"]
    assert own.tls.check_host
    assert partly.tls.files.trusted.name == "z.pem"
    assert partly.tls.files.key.name == "node.key"
    assert not partly.tls.check_host


def test_files_lie_beside_the_configuration(load_text: Load) -> None:
    files = load_text(TLS).to_tls()
    assert files is not None
    assert files.key.is_absolute()
    assert files.profile is TlsProfile.RFC8996


@pytest.mark.parametrize(
    ("text", "instead", "path", "words"),
    [
        ("key: node.key, ", "", "tls.key", "is missing"),
        ("trusted: ca.pem", "trusted: ca.pem, profile: ssl3", "tls.profile", "none of"),
        ("tls: {cert", "tls: {port: 11112, cert", "tls.port", "node.port too"),
        ("10.1.2.0/24", "10.1.2.3/24", "peers[1].host", "no network"),
        ("{commonName: c}", "{commonname: c}", "peers[2].subject.commonname", "commonName?"),
        ("{commonName: c}", "{}", "peers[2].subject", "at least"),
        ("tls: {}", "tls: {key: y.key}", "destinations[1].tls", "together"),
        ("tls: {certificate: node.pem, key: node.key, trusted: ca.pem}", "", "peers[2]", "no tls"),
        (
            "tls: {certificate: node.pem, key: node.key, trusted: ca.pem}",
            "",
            "destinations[1].tls",
            "no tls section",
        ),
    ],
)
def test_what_cannot_be_is_told_where_it_stands(
    problems_in: Problems, text: str, instead: str, path: str, words: str
) -> None:
    problems = problems_in(TLS.replace(text, instead, 1))
    assert any(problem.startswith(path) and words in problem for problem in problems), problems
