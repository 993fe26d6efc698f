"""Networks, losses, sampling, the loop, export: the only place torch lives. Its result crosses over as files."""

from onspec.training.waiting import wait_briefly

wait_briefly()
