"""Where people try things out on a running node: its rules, its engine, its destinations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicom_node.domain.errors import ConfigurationError
from dicom_node.rulebook import cards, probing
from dicom_node.rulebook.applying import prepare
from dicom_node.rulebook.replaying import Replay, replay
from dicom_node.rulebook.trying import Tried, try_file
from dicom_node.settings import load_text

if TYPE_CHECKING:
    from dicom_node.domain.routes import Destination
    from dicom_node.ports import NodeLedger, Spool
    from dicom_node.rulebook.book import Rulebook
    from dicom_node.rulebook.cards import ModelCard
    from dicom_node.rulebook.previewing import Preview, Previewing
    from dicom_node.rulebook.probing import Probed
    from dicom_node.services.ruling import Rules

__all__ = ["Desk"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Tries things out; nothing it does changes the node, and only a test object leaves it.

    Attributes:
        book: The rules and their file.
        rules: In force.
        ledger: Knows the images that came.
        spool: Has their files.
        previewing: Makes views for eyes.
        ae_title: Ours.
    """

    book: Rulebook
    rules: Rules
    ledger: NodeLedger
    spool: Spool
    previewing: Previewing
    ae_title: str

    def try_file(self, data: bytes, *, calling_ae_title: str = "") -> Tried:
        """What the rules in force make of a file, and why."""
        return try_file(self.rules.now, data, calling_ae_title=calling_ae_title)

    def preview(self, data: bytes, *, calling_ae_title: str = "") -> Preview:
        """The views a file would get.

        Raises:
            NodeError: No route takes it, it is refused, or the engine fails or is busy.
            SynthesisError: What came of it is no image.
        """
        return self.previewing.preview(self.try_file(data, calling_ae_title=calling_ae_title), data)

    def replay(self, text: str, *, limit: int = 500) -> Replay:
        """What another text of the configuration would make of the newest images.

        Raises:
            ConfigurationError: The text is no configuration, or needs what is not there.
        """
        wanted = prepare(load_text(text, self.book.path)).rule_set(None)
        return replay(self.rules.now, wanted, self.ledger, self.spool, limit=limit)

    def echo(self, name: str) -> Probed:
        """Whether a destination answers.

        Raises:
            ConfigurationError: There is no such destination.
        """
        return probing.echo(self.ae_title, self._destination(name))

    def test_store(self, name: str) -> Probed:
        """Whether a destination takes a test object.

        Raises:
            ConfigurationError: There is no such destination.
        """
        return probing.test_store(self.ae_title, self._destination(name))

    def cards(self) -> tuple[ModelCard, ...]:
        """Of the models that are configured now."""
        weights = self.rules.now.weights
        return tuple(
            cards.card_of(name, path, weights[name])
            for name, path in self.book.settings.model_paths().items()
            if name in weights
        )

    def _destination(self, name: str) -> Destination:
        try:
            return self.rules.now.destinations[name]
        except KeyError:
            raise ConfigurationError(f"no destination is named {name!r} any more") from None
