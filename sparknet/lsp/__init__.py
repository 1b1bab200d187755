"""The language server: what an editor asks about a `.net` file. `sparknet lsp` starts it; it needs the extra `lsp`."""
