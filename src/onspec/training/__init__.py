"""Networks, losses, sampling, the loop, export: the only place torch lives. Its result crosses over as files."""
