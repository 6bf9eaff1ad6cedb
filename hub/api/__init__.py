"""HTTP: one module per noun. See docs/api.md."""
