"""The configuration as it was specified, as it is shipped, and as values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dicom_node.domain.errors import ConfigurationError
from dicom_node.domain.header import Header
from dicom_node.domain.routes import Accept, Commitment, Ignore
from dicom_node.domain.rules import AllOf, AnyOf, Matches, NoneOf, OneOf, Present, Range, decide
from dicom_node.domain.writing import Document, Form
from dicom_node.settings import Settings, load
from synthesis.types import View

SHIPPED = Path(__file__).parents[2] / "config" / "node.yaml"
SPECIFIED = Path(__file__).with_name("specified.yaml")


def test_the_specified_configuration_loads_as_it_stands() -> None:
    settings = load(SPECIFIED)
    assert settings.node.ae_title == "SYNTH"
    assert (settings.node.host, settings.node.port) == ("127.0.0.1", 11112)
    assert settings.node.max_associations == 64
    assert settings.engine.device == "auto"
    assert settings.engine.deadline_s == 600
    assert settings.retention.keep_s == 604800
    assert settings.retention.min_free_bytes == 2_000_000_000
    assert not settings.console.enabled


def test_the_shipped_configuration_says_the_same_as_the_specified_one() -> None:
    shipped, specified = load(SHIPPED).model_dump(), load(SPECIFIED).model_dump()
    assert shipped.pop("node").pop("data_dir").name == specified.pop("node").pop("data_dir").name
    assert shipped == specified


def test_every_key_stands_in_the_shipped_configuration() -> None:
    """Walks the models, so a new key without a line in the file fails here."""
    import yaml

    written = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    schema = Settings.model_json_schema()

    def missing(part: dict[str, Any], data: Any, path: str) -> list[str]:
        while "$ref" in part:
            part = schema["$defs"][part["$ref"].split("/")[-1]]
        if part.get("title") in ("PredicateSettings", "ViewSetSettings"):
            return []  # alternatives, all of them described in comments
        found = []
        for key, inner in part.get("properties", {}).items():
            if key not in data:
                found.append(f"{path}{key}")
            else:
                found += missing(inner, data[key], f"{path}{key}.")
        if part.get("type") == "array" and isinstance(data, list) and data:
            found += missing(part["items"], data[0], path)
        if "additionalProperties" in part and isinstance(part["additionalProperties"], dict):
            found += missing(part["additionalProperties"], next(iter(data.values())), path)
        return found

    assert missing(schema, written, "") == []


def test_peers_become_domain_values() -> None:
    pacs, modality = load(SPECIFIED).to_peers()
    assert (pacs.name, pacs.ae_title, pacs.host) == ("pacs", "ORTHANC", "127.0.0.1")
    assert (modality.name, modality.ae_title) == ("modality", "STORESCU")


def test_a_peer_without_a_host_may_call_from_anywhere(load_text: Any) -> None:
    settings = load_text("node: {ae_title: A}\npeers: [{name: any, ae_title: B}]")
    assert settings.to_peers()[0].host is None


def test_destinations_become_domain_values() -> None:
    (pacs,) = load(SPECIFIED).to_destinations()
    assert (pacs.ae_title, pacs.host, pacs.port) == ("ORTHANC", "127.0.0.1", 4242)
    assert pacs.form is Form.DX
    assert pacs.commitment is Commitment.NONE
    assert pacs.banner
    assert [pacs.retry.delay_s(n) for n in (1, 2, 3, 20)] == [5, 10, 20, 900]
    assert pacs.retry.delay_s(50) is None


@pytest.mark.parametrize(
    ("asked", "banner", "documents"),
    [
        ("banner: true", True, ()),
        ("banner: false", False, ()),
        ("label: pixels", True, ()),
        ("label: none", False, ()),
        ("label: presentation_state", False, (Document.PRESENTATION_STATE,)),
        ("label: null, banner: false, report: true", False, (Document.REPORT,)),
        ("key_objects: true, report: true", True, (Document.REPORT, Document.KEY_OBJECTS)),
    ],
)
def test_a_destination_says_where_the_mark_is_and_what_comes_with_the_images(
    load_text: Any, asked: str, banner: bool, documents: tuple[Document, ...]
) -> None:
    settings = load_text(
        "node: {ae_title: A}\n"
        f"destinations: [{{name: b, ae_title: B, host: h, port: 104, {asked}}}]"
    )
    (destination,) = settings.to_destinations()
    assert (destination.banner, destination.documents) == (banner, documents)


def test_label_and_banner_are_not_both_given(load_text: Any) -> None:
    with pytest.raises(ConfigurationError, match="give label or banner, not both"):
        load_text(
            "node: {ae_title: A}\n"
            "destinations: [{name: b, ae_title: B, host: h, port: 104, banner: true, label: none}]"
        )


def test_routes_become_domain_values() -> None:
    (route,) = load(SPECIFIED).to_routes()
    assert (route.name, route.model, route.samples, route.steps) == (
        "frontal-chest",
        "chest",
        1,
        None,
    )
    assert (route.send_to, route.priority, route.enabled) == (("pacs",), 5, True)
    assert route.when == AllOf(
        parts=(
            OneOf(attribute="Modality", one_of=("CR", "DX")),
            AnyOf(
                parts=(
                    Matches(attribute="BodyPartExamined", matches="CHEST|THORAX"),
                    Matches(attribute="StudyDescription", matches="CHEST|THORAX"),
                )
            ),
            OneOf(attribute="ViewPosition", one_of=("PA", "AP")),
        )
    )


def test_a_sweep_of_thirty_degrees_is_six_views_about_the_source() -> None:
    (route,) = load(SPECIFIED).to_routes()
    about_pa = [view.primary_deg for view in route.views.resolve(View(primary_deg=0))]
    about_ap = [view.primary_deg for view in route.views.resolve(View(primary_deg=180))]
    assert about_pa == [-90, -60, -30, 30, 60, 90]
    assert about_ap == [90, 120, 150, -150, -120, -90]


def test_absolute_views_do_not_depend_on_the_source(load_text: Any, specified: str) -> None:
    text = specified.replace("views: sweep-30", "views: lateral-left")
    (route,) = load_text(text).to_routes()
    for source in (View(primary_deg=0), View(primary_deg=180)):
        assert [v.label for v in route.views.resolve(source)] == ["LEFT LATERAL"]


def test_the_loaded_rules_decide_as_they_read() -> None:
    routes = load(SPECIFIED).to_routes()

    def decided(**values: str) -> object:
        return decide(routes, Header(values={key: (text,) for key, text in values.items()}))

    chest = {"Modality": "cr ", "StudyDescription": "XR Chest 2 views", "ViewPosition": "AP"}
    assert isinstance(decided(**chest), Accept)
    assert isinstance(decided(**chest | {"ViewPosition": "LL"}), Ignore)
    assert isinstance(decided(**chest | {"StudyDescription": "Tibia"}), Ignore)


def test_every_kind_of_term_can_be_written(load_text: Any, specified: str) -> None:
    start = specified.index("    when:")
    end = specified.index("    synthesize:")
    when = """    when:
      all:
        - {attribute: BurnedInAnnotation, equals: NO}
        - {attribute: BitsStored, equals: 12}
        - {attribute: PatientAge, range: {at_least: 18}}
        - {attribute: Rows, range: {at_least: 512, at_most: 4096}}
        - {attribute: SyntheticData, present: false}
        - none:
            - {attribute: StationName, one_of: [QA, 7]}
"""
    (route,) = load_text(specified[:start] + when + specified[end:]).to_routes()
    assert isinstance(route.when, AllOf)
    no, bits, age, rows, synthetic, excluded = route.when.parts
    assert (no.equals, bits.equals) == ("NO", "12")  # type: ignore[union-attr]
    assert age == Range(attribute="PatientAge", at_least=18)
    assert rows == Range(attribute="Rows", at_least=512, at_most=4096)
    assert synthetic == Present(attribute="SyntheticData", present=False)
    assert excluded == NoneOf(parts=(OneOf(attribute="StationName", one_of=("QA", "7")),))


def test_relative_paths_start_at_the_folder_of_the_file(
    load_text: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    settings = load_text("node: {ae_title: A, data_dir: ./d}\nmodels: {m: {path: w.safetensors}}")
    assert settings.node.data_dir == tmp_path / "d"
    assert settings.models["m"].path == str(tmp_path / "w.safetensors")
    assert load_text("node: {ae_title: A}").node.data_dir == tmp_path / "data"


def test_the_ledger_lies_in_the_data_folder_unless_told_otherwise(
    load_text: Any, tmp_path: Path
) -> None:
    assert load_text("node: {ae_title: A, data_dir: d}").database_url() == (
        f"sqlite:///{tmp_path}/d/ledger.sqlite"
    )
    other = load_text("node: {ae_title: A, database_url: 'sqlite:///sub/l.db'}")
    assert other.database_url() == f"sqlite:///{tmp_path}/sub/l.db"
    absolute = load_text("node: {ae_title: A, database_url: 'sqlite:////var/l.db'}")
    assert absolute.database_url() == "sqlite:////var/l.db"


def test_loading_makes_no_folder(load_text: Any, tmp_path: Path) -> None:
    load_text("node: {ae_title: A}").database_url()
    assert [each.name for each in tmp_path.iterdir()] == ["node.yaml"]


def test_model_files_are_found_or_missed_by_name(load_text: Any, tmp_path: Path) -> None:
    from dicom_node.domain.errors import ConfigurationError

    settings = load_text("node: {ae_title: A}\nmodels: {m: {path: w.safetensors}}")
    with pytest.raises(ConfigurationError, match=r"^models\.m\.path: there is no file .*w\.safe"):
        settings.model_paths()
    (tmp_path / "w.safetensors").touch()
    assert settings.model_paths() == {"m": tmp_path / "w.safetensors"}


def test_settings_cannot_be_changed() -> None:
    settings = load(SPECIFIED)
    with pytest.raises(ValidationError):
        settings.node.port = 1


def test_settings_made_in_code_are_cross_checked_too() -> None:
    data = load(SPECIFIED).model_dump()
    data["routes"][0]["send_to"] = ["elsewhere"]
    with pytest.raises(ValidationError, match=r"routes\[0\]\.send_to\[0\]: no destination"):
        Settings.model_validate(data)
