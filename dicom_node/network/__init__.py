"""DICOM network services by pynetdicom."""
