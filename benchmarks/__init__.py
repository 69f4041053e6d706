"""Speed, always beside a peer in the same run: ``python -m benchmarks NAME``, ``make bench``."""
