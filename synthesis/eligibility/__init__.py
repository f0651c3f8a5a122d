"""Whether an image is one that views can be synthesized from: an upright frontal chest radiograph.

A network answers anything, also a shin bone; so a small classifier looks first.
"""

from synthesis.eligibility.judging import Eligibility, judge
from synthesis.eligibility.network import Kind

__all__ = ["Eligibility", "Kind", "judge"]
