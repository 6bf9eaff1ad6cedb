"""Short programs that use a hub from outside: README.md."""
