"""The middleware: one scope per web request, ended before its response."""
