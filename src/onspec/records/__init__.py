"""The archive of verdicts: what was judged, what people said of it, and what another rule would have said."""
