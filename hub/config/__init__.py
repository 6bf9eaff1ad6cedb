"""Configuration: settings from TOML and environment, checked as a whole; secrets from files."""
