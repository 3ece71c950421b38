"""What runs in the background: the provisioning pool, the backlog, and the sweeps."""
