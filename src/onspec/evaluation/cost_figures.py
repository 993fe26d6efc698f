"""What errors cost at the operating point, and at the best one."""

from onspec.evaluation.least_cost import ESCAPE_COST, Costs
from onspec.evaluation.metrics import CostFigures
from onspec.evaluation.what_if import WhatIf, expected_costs, least

DEFAULT = Costs(escape=ESCAPE_COST)


def cost_figures(table: WhatIf | None, costs: Costs) -> CostFigures:
    """Expected cost of a part; the figures are `None` where good or defective parts are absent."""
    counted = "images" if table is None or table.parts is None else "parts"
    given = {
        "escape_cost": costs.escape, "false_reject_cost": costs.false_reject, "defect_share": costs.defect_share,
        "share_given": costs.defect_share is not None, "counted": counted,
        "at_threshold": None, "least": None, "least_threshold": None, "all_ok": None, "all_ng": None,
    }  # fmt: skip
    reckoned = None if table is None else expected_costs(table.counted, costs)
    if table is None or reckoned is None:
        return CostFigures.model_validate(given)
    of_escapes, of_rejects, share = reckoned
    total = of_escapes + of_rejects
    best = least(total, table.image)
    return CostFigures.model_validate(
        given
        | {
            "defect_share": share,
            "at_threshold": float(of_escapes[table.review] + of_rejects[table.image]),
            "least": float(total[best]),
            "least_threshold": table.thresholds[best],
            "all_ok": share * costs.escape,
            "all_ng": (1.0 - share) * costs.false_reject,
        }
    )
