"""The REST API under /api/v1: what can be read (reads), what can be done (commands), and its description (openapi)."""
