"""Generated from protos/ by scripts/generate.sh; never edited."""
