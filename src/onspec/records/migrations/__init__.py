"""How the tables came to be, step by step, for archives that older versions made."""
