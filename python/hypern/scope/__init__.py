"""Request scopes: which request `db()` means, and the end of its sessions."""
