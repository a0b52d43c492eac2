"""`python -m tests.bench`: measures PODI against upstreams that cost nothing. See docs/benchmarks.md."""
