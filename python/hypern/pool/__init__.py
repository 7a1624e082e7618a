"""The pools of this process, one per alias: their settings, status, observers and end."""
