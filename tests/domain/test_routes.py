"""Values of the configuration: views, forms, headers, provenance."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError

import pytest

from dicom_node.domain.header import Header
from dicom_node.domain.identifiers import JobKey
from dicom_node.domain.provenance import Provenance
from dicom_node.domain.routes import Sweep, ViewPlan
from dicom_node.domain.writing import Form, Matrix, Writing
from synthesis.errors import ViewError
from synthesis.types import IntensityScale, ModelIdentity, View

SWEEP = Sweep(from_deg=-60, to_deg=60, step_deg=30)


def test_a_sweep_goes_about_the_source_in_ascending_order_without_it() -> None:
    views = ViewPlan(name="v", sweep=SWEEP).resolve(View(primary_deg=0))
    assert [view.primary_deg for view in views] == [-60, -30, 30, 60]
    assert views.name == "v"


def test_a_sweep_about_an_ap_source_turns_with_it() -> None:
    views = ViewPlan(name="v", sweep=SWEEP).resolve(View(primary_deg=180))
    assert [view.primary_deg for view in views] == [120, 150, -150, -120]


def test_absolute_views_stand_as_they_are_whatever_the_source() -> None:
    views = (View(primary_deg=90), View(primary_deg=-45, secondary_deg=10))
    plan = ViewPlan(name="v", views=views)
    assert plan.resolve(View(primary_deg=180)).views == views


@pytest.mark.parametrize("given", [{}, {"sweep": SWEEP, "views": (View(primary_deg=1),)}])
def test_a_plan_holds_a_sweep_or_views_and_not_both(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="either"):
        ViewPlan(name="v", **given)  # type: ignore[arg-type]


def test_a_full_turn_that_meets_itself_is_refused() -> None:
    sweep = Sweep(from_deg=0, to_deg=360, step_deg=90, skip_source=False)
    with pytest.raises(ViewError, match="twice"):
        ViewPlan(name="v", sweep=sweep).resolve(View(primary_deg=0))


def test_every_way_of_writing_has_a_name_of_its_own() -> None:
    names = [
        Writing(form=form, banner=banner, matrix=matrix).name
        for form in Form
        for banner in (True, False)
        for matrix in Matrix
    ]
    assert len(set(names)) == len(names) == 12
    # UIDs follow from these: another name would give old work new ones.
    assert {"dx", "dx-plain", "sc", "sc-plain"} <= set(names)


def test_a_header_knows_only_routing_attributes() -> None:
    with pytest.raises(ValueError, match="PatientName"):
        Header({"PatientName": ("Test^Patient",)})


def test_an_empty_attribute_is_absent() -> None:
    header = Header({"Modality": (), "ImageType": ("", ""), "Rows": ("", "5")})
    assert header.get("Modality") == header.get("ImageType") == ()
    assert header.first("Modality") == ""
    assert header.get("Rows") == ("", "5")


def test_a_header_does_not_change_with_what_it_was_made_from() -> None:
    values = {"Modality": ("CR",)}
    header = Header(values)
    values["Modality"] = ("DX",)
    assert header.first("Modality") == "CR"
    with pytest.raises(TypeError):
        header.values["Modality"] = ("DX",)  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        header.manufactured_here = True  # type: ignore[misc]


def test_provenance_is_told_whole_and_always_in_the_same_words() -> None:
    provenance = Provenance(
        node_version="1.2.3",
        job_key=JobKey("k"),
        route="chest",
        route_digest="r",
        source_sop_class_uid="1.2",
        source_sop_instance_uid="1.3",
        source_digest="s",
        source_view=View(primary_deg=0),
        source_spacing_mm=(0.1, 0.2),
        intensity=IntensityScale(low=0.0, high=4.0),
        model=ModelIdentity(
            name="m", version="1", family="vcdit", digest="w", resolution=256, default_steps=8
        ),
        view=View(primary_deg=30),
        index=1,
        sample=0,
        samples=2,
        steps=8,
        seed=7,
        spacing_nominal=False,
        synthesized_at="2024-01-02T03:04:05+00:00",
    )
    told = json.loads(provenance.to_json())
    assert set(told) == set(Provenance.__slots__)
    assert told["view"]["primary_deg"] == 30
    assert told["source_spacing_mm"] == [0.1, 0.2]
    assert told["model"]["digest"] == "w"
    assert told["intensity"] == {"low": 0.0, "high": 4.0, "tone": []}
    assert provenance.to_json() == provenance.to_json()
    assert list(told) == sorted(told)
