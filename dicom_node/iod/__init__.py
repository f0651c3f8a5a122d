"""DICOM data sets to values and back, without I/O."""
