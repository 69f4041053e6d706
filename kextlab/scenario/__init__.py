"""Scenarios: reading recordings of the real kernel's answers and, beside them, replaying them."""
