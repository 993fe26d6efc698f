"""The HTTP API. It judges with the recipes it was started with, and answers every problem in one form."""
