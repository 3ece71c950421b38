"""What runs in the background: the provisioning pool, the backlog, notifications, and the sweeps."""
