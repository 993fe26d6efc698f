"""Commands: one file a verb, imported lazily."""
