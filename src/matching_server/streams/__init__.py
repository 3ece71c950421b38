"""Who watches what: streams without threads of their own, fed from the log, with Redis as the hint."""
