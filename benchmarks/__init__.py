"""What tracing costs, beside its peers: `python -m benchmarks`, or `make bench` for every CPython found.

All contenders run in one process, in interleaved rounds; the table has medians and ratios, and only ratios of one run mean
anything. The documents quote nothing else.
"""
