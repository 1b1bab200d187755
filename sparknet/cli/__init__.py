"""The `sparknet` command."""
