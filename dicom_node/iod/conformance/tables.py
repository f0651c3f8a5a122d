"""What every object must say, and what none may."""

from __future__ import annotations

from typing import Final

from dicom_node import MANUFACTURER, PRODUCT, __version__
from dicom_node.domain.writing import Form

__all__ = ["ANGLE_TOLERANCE_DEG", "FIXED", "FIXED_FOR_FORM", "FORBIDDEN", "ONE_VIEW_ONLY"]

FORBIDDEN: Final = (
    "KVP",
    "Exposure",
    "ExposureInuAs",
    "ExposureInmAs",
    "ExposureTime",
    "ExposureTimeInuS",
    "ExposureTimeInms",
    "XRayTubeCurrent",
    "XRayTubeCurrentInuA",
    "XRayTubeCurrentInmA",
    "ImageAndFluoroscopyAreaDoseProduct",
    "EntranceDose",
    "EntranceDoseInmGy",
    "OrganDose",
    "RelativeXRayExposure",
    "ExposureIndex",
    "TargetExposureIndex",
    "DeviationIndex",
    "Sensitivity",
    "FocalSpots",
    "FilterType",
    "FilterMaterial",
    "FilterThicknessMinimum",
    "FilterThicknessMaximum",
    "Grid",
    "GridID",
    "AnodeTargetMaterial",
    "GeneratorPower",
    "GeneratorID",
    "CollimatorShape",
    "ExposureControlMode",
    "ExposureStatus",
    "ExposuresOnDetectorSinceLastCalibration",
    "ExposuresOnDetectorSinceManufactured",
    "ExposuresOnPlate",
    "DetectorID",
    "DetectorDescription",
    "DetectorManufacturerName",
    "DetectorManufacturerModelName",
    "DetectorTimeSinceLastExposure",
    "DateOfLastDetectorCalibration",
    "TimeOfLastDetectorCalibration",
    "PlateID",
    "PlateType",
    "PhosphorType",
    "CassetteID",
    "DeviceSerialNumber",
    "GantryID",
    "StationName",
    "StationAETitle",
    "PerformedStationAETitle",
    "OperatorsName",
    "PerformingPhysicianName",
    "AcquisitionDate",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "AcquisitionNumber",
    "AcquisitionUID",
    "IrradiationEventUID",
    "SeriesDate",
    "SeriesTime",
    "ProtocolName",
    "DistanceSourceToDetector",
    "DistanceSourceToPatient",
    "TableAngle",
    "PatientPosition",
    "FrameOfReferenceUID",
    "Laterality",
    "PixelPaddingValue",
    "OriginalAttributesSequence",
    "DigitalSignaturesSequence",
)
"""Attributes of an exposure, of the source's device or of the source's own pixels: a synthesized
view has none of them."""

FIXED: Final = {
    "ImageType": ("DERIVED", "SECONDARY", "", "SYNTHETIC"),
    "SyntheticData": ("YES",),
    "ContentQualification": ("RESEARCH",),
    "RecognizableVisualFeatures": ("NO",),
    "QualityControlImage": ("NO",),
    "Manufacturer": (MANUFACTURER,),
    "ManufacturerModelName": (PRODUCT,),
    "SoftwareVersions": (__version__,),
    "SamplesPerPixel": ("1",),
    "PixelRepresentation": ("0",),
}
"""Attributes with one legal value in every object this product makes."""

FIXED_FOR_FORM: Final = {
    Form.DX: {
        "Modality": ("DX",),
        "PresentationIntentType": ("FOR PRESENTATION",),
        "PositionerType": ("CARM",),
    },
    Form.SC: {"Modality": ("OT",), "ConversionType": ("SYN",), "PositionerType": ("CARM",)},
    Form.MULTIFRAME: {"Modality": ("OT",), "ConversionType": ("SYN",)},
}
"""The same, for one form."""

ANGLE_TOLERANCE_DEG: Final = 1e-6
"""Decimal Strings keep at least this much of an angle."""

ONE_VIEW_ONLY: Final = (
    "PatientOrientation",
    "ViewPosition",
    "PositionerPrimaryAngle",
    "PositionerSecondaryAngle",
)
"""What must not be said of an object that holds several views."""
