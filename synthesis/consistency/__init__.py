"""Whether two radiographs can be of one body: scores that need no ground truth.

Two views of one body share the integrals of its attenuation over planes. Nothing here looks at
anatomy; a score is a correlation, so the grey scales of the two images may differ by any gain and
offset.
"""

from synthesis.consistency.epipolar import epipolar_consistency, epipolar_scores
from synthesis.consistency.rowsums import row_sum_consistency

__all__ = ["epipolar_consistency", "epipolar_scores", "row_sum_consistency"]
