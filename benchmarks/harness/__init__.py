"""What the rows share: servers, load, pgbench, results and how they are shown."""
