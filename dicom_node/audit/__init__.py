"""The audit trail: what happened, as DICOM audit messages (PS3.15 A.5) in a file that shows when it
was changed.

`messages` are values and their XML, `events` builds one for each thing that can happen, `chain`
links the lines of the file, `trail` writes it.
"""
