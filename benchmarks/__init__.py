"""Measures the networks against their peers; `python -m benchmarks.training --help`.

A side (ours, or a peer) lives in a process of its own (`sides/`), which a driver
(`driver.py`) tells to run one measurement at a time. Five programs choose what is
measured: `training`, `inference`, `compile` and `depthwise`; `report.py` and
`picture.py` tell what came out.
"""
