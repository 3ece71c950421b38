"""The service measured side by side with what it is compared to; `make bench` runs it.

A row is a question with a goal: how many times something else the service does. Each row is a file in `rows/`
(or a function in one), and an entry in `rows.ROWS`; what rows share is in `harness/`. Absolute figures of one
machine say little about another's, so only ratios are judged: both sides are measured in turns, in one run.
"""
