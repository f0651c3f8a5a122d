"""The sections of a configuration, one class each; their docstrings document the keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from dicom_node.domain.retry import RetryPolicy
from dicom_node.domain.routes import Commitment, Destination, Form, Sweep, ViewPlan
from dicom_node.domain.security import DestinationTls
from dicom_node.domain.webaccess import Retrieve, WebAccess
from dicom_node.domain.writing import Document, Label, Matrix
from dicom_node.settings import reached
from dicom_node.settings.fields import (
    AeTitle,
    FilePath,
    Flag,
    Host,
    Name,
    Number,
    Port,
    Section,
    Whole,
    placed,
)
from dicom_node.settings.predicate import PredicateSettings
from dicom_node.settings.reached import ServiceUrl
from dicom_node.settings.secrets import Variable, instead_of, read_secret
from dicom_node.settings.security import DestinationTlsSettings
from synthesis.errors import ViewError
from synthesis.types import View

__all__ = [
    "BUNDLED",
    "AzimuthSettings",
    "DestinationSettings",
    "EngineSettings",
    "Family",
    "ModelSettings",
    "NodeSettings",
    "RetentionSettings",
    "RetrySettings",
    "RouteSettings",
    "SynthesizeSettings",
    "ViewSetSettings",
    "ViewSettings",
]

BUNDLED: Final = "bundled"
"""Path of a model that means the weights packaged with the product."""

VIEWS_AT_MOST: Final = 361
"""Views of one set: all of them are one batch of the engine."""

_DEVICE: Final = r"auto|cpu|mps|cuda(:\d+)?"
_MEMORY: Final = re.compile(r"sqlite(\+\w+)?://(/?:memory:)?(\?.*)?")
_POSTGRESQL: Final = re.compile(r"postgresql(\+psycopg)?://")
_PASSWORD: Final = re.compile(r"://[^/@]*:[^/@]*@|[?&]password=", re.IGNORECASE)
_SQLITE: Final = re.compile(r"(?P<scheme>sqlite(\+\w+)?):///(?P<file>[^?]+)(?P<query>\?.*)?")


class NodeSettings(Section):
    """This node: its name in the DICOM network, where it listens, where it keeps its data."""

    ae_title: AeTitle
    """AE title of this node: what peers call, and what destinations are called by."""
    host: Host = "127.0.0.1"
    """Address to listen on; 0.0.0.0 is every interface."""
    port: Port = 11112
    """Port to listen on for DICOM; 0 picks a free one, which the node_ready line tells."""
    data_dir: FilePath = Field(default=Path("data"), validate_default=True)
    """Folder of the spool and the ledger, made at start. Relative to the configuration's folder."""
    database_url: str | None = None
    """URL of the ledger: sqlite:///FILE, or postgresql://USER@HOST:PORT/DATABASE without a
    password; null is SQLite in data_dir."""
    database_password_file: FilePath | None = None
    """File whose first line is the password of PostgreSQL, for nobody but the node to read."""
    database_password_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Environment variable that holds the password of PostgreSQL, instead of a file."""
    max_associations: Annotated[int, Field(strict=True, ge=1, le=1000)] = 64
    """Associations served at one time; more are rejected until one ends."""
    max_image_bytes: Annotated[int, Field(strict=True, ge=1_000_000)] = 268_435_456
    """Longest object that is received; the sender of a longer one is dropped."""
    receive_memory_bytes: Annotated[int, Field(strict=True, ge=1_000_000)] = 536_870_912
    """Objects that are being received, of all callers together; beyond it callers wait."""
    request_timeout_s: Annotated[float, Field(strict=True, gt=0, le=600)] = 15.0
    """Seconds a caller has to ask for an association, the handshake of TLS apart (ARTIM)."""
    idle_timeout_s: Annotated[float, Field(strict=True, gt=0, le=3600)] = 90.0
    """Seconds a caller may be silent, and may take for one PDU."""

    @field_validator("database_url")
    @classmethod
    def _sqlite_file(cls, url: str | None, info: ValidationInfo) -> str | None:
        # A URL may hold a password, so no message repeats it.
        if url is None:
            return None
        if _MEMORY.fullmatch(url):
            raise ValueError("a ledger in memory is lost with the process: name a file, or null")
        if _POSTGRESQL.match(url):
            if _PASSWORD.search(url):
                raise ValueError(
                    "a password does not stand in the configuration: name its file in "
                    "database_password_file, or its variable in database_password_env"
                )
            return url
        found = _SQLITE.fullmatch(url)
        if found is None:
            raise ValueError(
                "the ledger lives in SQLite or PostgreSQL: give sqlite:///FILE, "
                "postgresql://USER@HOST:PORT/DATABASE, or null"
            )
        base = (info.context or {}).get("base")
        file = Path(found["file"]) if base is None else Path(base) / found["file"]
        return f"{found['scheme']}:///{file}{found['query'] or ''}"

    @model_validator(mode="after")
    def _password_has_one_place_and_a_use(self) -> Self:
        given = [self.database_password_file, self.database_password_env]
        if None not in given:
            raise ValueError("give database_password_file or database_password_env, not both")
        server = self.database_url is not None and _POSTGRESQL.match(self.database_url)
        if given != [None, None] and not server:
            raise ValueError("a password is for a database_url of PostgreSQL")
        return self


class RetrySettings(Section):
    """When a failed delivery is tried again: first_s, then each wait factor times longer."""

    first_s: Annotated[float, Field(strict=True, gt=0)] = 5.0
    """Seconds until the second attempt."""
    factor: Annotated[float, Field(strict=True, ge=1)] = 2.0
    """Growth from one wait to the next."""
    max_s: Annotated[float, Field(strict=True, gt=0)] = 900.0
    """Longest wait in seconds."""
    attempts: Annotated[int, Field(strict=True, ge=1)] = 50
    """Failures after which the delivery is quarantined for a person to release."""

    @model_validator(mode="after")
    def _first_is_not_above_longest(self) -> Self:
        if self.first_s > self.max_s:
            raise ValueError(f"first_s {self.first_s:g} is above max_s {self.max_s:g}")
        return self

    def to_domain(self) -> RetryPolicy:
        """The same as a value of the domain."""
        return RetryPolicy(
            first_s=self.first_s, factor=self.factor, max_s=self.max_s, attempts=self.attempts
        )


class DestinationSettings(Section):
    """One that this node sends synthesized views to."""

    name: Name
    """Name that routes send to."""
    ae_title: AeTitle | None = None
    """AE title it is called by."""
    host: Host | None = None
    """Its address."""
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] | None = None
    """Its DICOM port."""
    url: ServiceUrl | None = None
    """URL of its DICOMweb service, instead of ae_title, host and port: views are stored by STOW-RS,
    studies fetched by QIDO-RS and WADO-RS. It needs the extra dicomweb."""
    authorization_file: FilePath | None = None
    """File whose first line is the value of the Authorization header, as Bearer TOKEN."""
    authorization_env: Annotated[Variable, instead_of("authorization_file")] | None = None
    """Environment variable that holds it, instead of a file."""
    form: Form = Form.DX
    """How views are written: dx (Digital X-Ray, For Presentation), sc (Secondary Capture), each one
    object a view, or multiframe (Multi-frame Grayscale Word Secondary Capture), one object that
    plays as a cine loop."""
    matrix: Matrix = Matrix.NATIVE
    """Which pixels views are written in: native, those of the model, or match_source, brought to
    the matrix and pixel spacing of the source for reading side by side; no detail is added."""
    commitment: Commitment = Commitment.NONE
    """Whether it is asked to commit what it stored (PS3.4 Annex J): none, if_supported or required.
    Files are then kept until it has; it reports to this node, so it must be one of the peers."""
    commitment_timeout_s: Annotated[float, Field(strict=True, gt=0)] = 3600.0
    """Seconds it has to report on a request; then it is asked again under a new Transaction UID."""
    banner: Flag = True
    """Burn a visible banner with the view's angle into the pixels. label says the same and more."""
    label: Label | None = None
    """Where the mark and the view's angle are shown: pixels (burned in), presentation_state (a
    Grayscale Softcopy Presentation State beside images without them), or none. null is what banner
    says."""
    report: Flag = False
    """Send a Structured Report as well: what was made from what, by which model, how good."""
    key_objects: Flag = False
    """Send a Key Object Selection as well that lists the views."""
    retry: RetrySettings = RetrySettings()
    """When a failed delivery is tried again."""
    tls: DestinationTlsSettings | None = None
    """It is called over TLS: {} with the node's own files; null: plain. Of a url with https, null
    shows it no certificate and trusts the authorities of the system."""
    retrieve: Retrieve = Retrieve.GET
    """How studies are fetched from it: get (C-GET) or move (C-MOVE to this node, whose AE title,
    address and port it must know, and which must know it as a peer). Of a url always WADO-RS."""

    @model_validator(mode="after")
    def _one_way_to_reach_it(self) -> Self:
        problem = reached.problem(
            url=self.url,
            address={"ae_title": self.ae_title, "host": self.host, "port": self.port},
            authorizations=(self.authorization_file, self.authorization_env),
            commits=self.commitment is not Commitment.NONE,
            moves=self.retrieve is Retrieve.MOVE,
            tls=self.tls is not None,
        )
        if problem:
            raise ValueError(problem)
        return self

    @property
    def where(self) -> str:
        """Its address, for people."""
        return self.url or f"{self.ae_title} at {self.host}:{self.port}"

    @model_validator(mode="after")
    def _label_and_banner_agree(self) -> Self:
        if self.label is not None and "banner" in self.model_fields_set:
            raise ValueError("give label or banner, not both: label says where the mark is")
        return self

    def _documents(self) -> tuple[Document, ...]:
        wanted = {
            Document.PRESENTATION_STATE: self.label is Label.PRESENTATION_STATE,
            Document.REPORT: self.report,
            Document.KEY_OBJECTS: self.key_objects,
        }
        return tuple(document for document in Document if wanted[document])

    def to_domain(self, tls: DestinationTls | None = None) -> Destination:
        """The same as a value of the domain.

        Args:
            tls: Its TLS section, completed.
        """
        host, port = reached.address(self.url, self.host, self.port)
        return Destination(
            name=self.name,
            ae_title=self.ae_title or self.name,
            host=host,
            port=port,
            form=self.form,
            commitment=self.commitment,
            commitment_timeout_s=self.commitment_timeout_s,
            banner=self.banner if self.label is None else self.label is Label.PIXELS,
            matrix=self.matrix,
            documents=self._documents(),
            retry=self.retry.to_domain(),
            tls=tls,
            web=None if self.url is None else WebAccess(url=self.url, authorization=self._secret()),
            retrieve=self.retrieve,
        )

    def _secret(self) -> Callable[[], str] | None:
        file, variable = self.authorization_file, self.authorization_env
        if file is None and variable is None:
            return None
        return partial(read_secret, f"destinations {self.name}: authorization", file, variable)


class AzimuthSettings(Section):
    """A sweep about the patient's long axis, relative to the source's own view (0 degrees)."""

    from_deg: Annotated[float, Field(strict=True, ge=-360, le=360)]
    """First angle; positive turns the detector towards the patient's left."""
    to_deg: Annotated[float, Field(strict=True, ge=-360, le=360)]
    """Last angle, included when a step falls on it."""
    step_deg: Annotated[float, Field(strict=True, ge=0.5, le=360)]
    """Angle between neighbours."""
    skip_source: Flag = True
    """Leave out 0 degrees, the view that was exposed."""

    def to_domain(self) -> Sweep:
        """The same as a value of the domain."""
        return Sweep(
            from_deg=self.from_deg,
            to_deg=self.to_deg,
            step_deg=self.step_deg,
            skip_source=self.skip_source,
        )


class ViewSettings(Section):
    """One view by its absolute positioner angles (PS3.3 C.8.7.5.1.2); 0/0 is PA."""

    primary_deg: Number
    """Positioner Primary Angle: positive towards the patient's left (LAO), 180 is AP."""
    secondary_deg: Annotated[float, Field(strict=True, ge=-90, le=90)] = 0.0
    """Positioner Secondary Angle: positive towards the head (CRAN)."""

    def to_domain(self) -> View:
        """The same as a value of the synthesis library."""
        return View(primary_deg=self.primary_deg, secondary_deg=self.secondary_deg)


class ViewSetSettings(Section):
    """Views made together: a sweep about the source, or absolute views. Exactly one is given."""

    azimuth: AzimuthSettings | None = None
    """A sweep relative to the source's view."""
    views: tuple[ViewSettings, ...] | None = Field(default=None, min_length=1)
    """Absolute views, in this order."""

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        if (self.azimuth is None) == (self.views is None):
            raise ValueError("give either azimuth or views")
        try:
            count = len(self.to_domain("this").resolve(View(primary_deg=0.0)))
        except ViewError as error:
            raise ValueError(str(error).replace("view set 'this'", "the set")) from error
        if count > VIEWS_AT_MOST:
            raise ValueError(f"{count} views are one batch: give at most {VIEWS_AT_MOST}")
        return self

    def to_domain(self, name: str) -> ViewPlan:
        """The same as a value of the domain."""
        return ViewPlan(
            name=name,
            sweep=self.azimuth.to_domain() if self.azimuth is not None else None,
            views=tuple(view.to_domain() for view in self.views or ()),
        )


class Family(StrEnum):
    """Kinds of weights."""

    VCDIT = "vcdit"
    SVDRR = "svdrr"


class ModelSettings(Section):
    """The weights behind a model's name."""

    family: Family = Family.VCDIT
    """vcdit (a checkpoint of this product) or svdrr (a folder of the published SV-DRR weights; it
    needs the extra svdrr)."""
    path: Annotated[str, Field(min_length=1)]
    """A checkpoint (.safetensors), for svdrr a folder, relative to the configuration's folder; or
    bundled, the weights that come with the product."""

    @field_validator("path")
    @classmethod
    def _absolute(cls, path: str, info: ValidationInfo) -> str:
        if path == BUNDLED or (info.context or {}).get("base") is None:
            return path
        return str(placed(Path(path), info))

    @model_validator(mode="after")
    def _bundled_is_ours(self) -> Self:
        if self.family is Family.SVDRR and self.path == BUNDLED:
            raise ValueError("the published weights do not come along: name their folder in path")
        return self


class SynthesizeSettings(Section):
    """What is made from an image that takes the route."""

    model: Name
    """Name of a model."""
    views: Name
    """Name of a view set."""
    samples: Annotated[int, Field(strict=True, ge=1, le=16)] = 1
    """Independent samples drawn per view, of which one is kept."""
    steps: Annotated[int, Field(strict=True, ge=1, le=1000)] | None = None
    """Network evaluations a view; null is the model's default."""
    min_consistency: Annotated[float, Field(strict=True, ge=-1, le=1)] | None = None
    """Least epipolar consistency (at most 1) of every view with its source. A job with a view below
    it is quarantined and nothing of it is sent; null sends whatever is made."""
    allow_ineligible: Flag = False
    """true makes views also from what does not look like an upright frontal chest radiograph; else
    such an image is quarantined. What was allowed so is said in every object."""


class RouteSettings(Section):
    """Which images, which views of them, and to whom. The first route that holds decides."""

    name: Name
    """Name in logs, decisions and lists."""
    enabled: Flag = True
    """false takes the route out without deleting it."""
    when: PredicateSettings
    """Which images take the route."""
    synthesize: SynthesizeSettings
    """What is made from them."""
    send_to: tuple[Name, ...] = Field(min_length=1)
    """Names of destinations."""
    priority: Annotated[int, Field(strict=True, ge=0, le=100)] = 5
    """Jobs with a larger priority are done sooner."""


def _device(text: str) -> str:
    if not re.fullmatch(_DEVICE, text):
        raise ValueError(f"give auto, cpu, cuda, cuda:N or mps, not {text!r}")
    return text


Device = Annotated[
    str, AfterValidator(_device), Field(json_schema_extra={"pattern": f"^({_DEVICE})$"})
]
"""A device as PyTorch names it, or auto."""


EngineAddress = Annotated[str, Field(pattern=r"^[^\s/:]+:[0-9]{1,5}$")]
"""Host and port, with a colon between."""


class EngineSettings(Section):
    """The process that synthesizes."""

    device: Device = "auto"
    """auto (a GPU when there is one), cpu, cuda, cuda:N or mps."""
    workers: Annotated[int, Field(strict=True, ge=1, le=64)] = 1
    """Engine processes, each with the models in its own memory."""
    deadline_s: Annotated[float, Field(strict=True, gt=0)] = 600.0
    """Seconds after which a synthesis is stopped and counted as a failed attempt."""
    address: EngineAddress | None = None
    """HOST:PORT of a machine where "dicom-node serve-engine" runs with the same weights; null: the
    engine runs here."""
    secret_file: FilePath | None = None
    """File whose first line is the secret that both machines know."""
    secret_env: Variable | None = None
    """Environment variable that holds it, instead of a file."""
    max_waiting: Annotated[int, Field(strict=True, ge=1)] | None = 100_000
    """Images and jobs that may wait; beyond it images are refused as out of resources (0xA700).
    null is any number."""

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        given = sum(each is not None for each in (self.secret_file, self.secret_env))
        if given == 2 or (given == 0 and self.address is not None):
            raise ValueError("address needs secret_file or secret_env, one of them")
        return self


class RetentionSettings(Section):
    """How long files are kept, and how full the disk may get."""

    keep_s: Annotated[float, Field(strict=True, ge=0)] = 604800.0
    """Seconds a file is kept after the last job and delivery that need it are closed."""
    min_free_bytes: Annotated[Whole, Field(ge=0)] = 2_000_000_000
    """Free space of data_dir below which images are refused as out of resources (0xA700)."""
