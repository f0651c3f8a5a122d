"""A node of real parts that runs nothing, on a configuration in a folder of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dicom_node import bootstrap
from dicom_node.settings import load
from tests.fakes.clock import ManualClock

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_node.bootstrap import Node
    from dicom_node.rulebook import Rulebook

TEXT = """\
# Ours, with words about why.
node: {ae_title: SYNTH, port: 0, data_dir: data}
peers:
  - {name: ct, ae_title: CT}   # the old one
destinations:
  - {name: pacs, ae_title: PACS, host: 127.0.0.1, port: 104}
view_sets:
  left: {views: [{primary_deg: 90}]}
models:
  chest: {path: weights}
routes:
  # Chests first.
  - name: chest
    when: {attribute: Modality, one_of: [CR, DX]}   # as sent
    synthesize: {model: chest, views: left}
    send_to: [pacs]
  # Then what is left.
  - name: rest
    enabled: false
    when:
      all:
        - {attribute: Modality, equals: OT}
        - any:
            - {attribute: BodyPartExamined, matches: "CHEST|THORAX"}   # either
            - {attribute: Rows, range: {at_least: 100}}
    synthesize: {model: chest, views: left}
    send_to: [pacs]
    priority: 1
retention: {min_free_bytes: 0}
"""


@dataclass(kw_only=True)
class Site:
    """A node, its file, and a clock that tests move."""

    path: Path
    clock: ManualClock
    node: Node

    @property
    def book(self) -> Rulebook:
        assert self.node.rulebook is not None
        return self.node.rulebook

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def write(self, old: str, new: str) -> None:
        """As an editor does, and look long enough to have it seen."""
        assert old in self.text
        self.path.write_text(self.text.replace(old, new), encoding="utf-8")
        self.look()

    def look(self) -> None:
        for _ in range(2):
            self.clock.now += 1.0
            self.book.run_once(self.clock())


@contextlib.contextmanager
def a_site(folder: Path, **given: Any) -> Iterator[Site]:
    """A node in a folder; what is given goes to `bootstrap.build`."""
    path = folder / "node.yaml"
    path.write_text(TEXT, encoding="utf-8")
    (folder / "weights").write_bytes(b"abc")
    clock = ManualClock()
    node = bootstrap.build(load(path), clock=clock, **given)
    yield Site(path=path, clock=clock, node=node)
    node.ledger.close()
