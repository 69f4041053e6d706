"""The questions of every exercise: ``qNN.QUESTIONS``, with public checks, misconceptions and hints.

What students must not see (answers, mutants, hidden checks, seeds) stands in ``solutions/``.
"""
