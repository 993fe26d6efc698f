"""(truth, prediction) → counts → metrics → operating point → report. Pure but for writing the report."""
