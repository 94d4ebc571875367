"""The guideline audit: what the four guidelines of ShuffleNet V2 say of any network, told by tracing it."""

from archsearch.cost.audit.audit import Audit, GuidelineCheck, UnitAudit, audit, score_columns, shown_scores

__all__ = ["Audit", "GuidelineCheck", "UnitAudit", "audit", "score_columns", "shown_scores"]
