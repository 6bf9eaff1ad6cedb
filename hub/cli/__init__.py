"""The command line: `hub`, a module for each noun."""
