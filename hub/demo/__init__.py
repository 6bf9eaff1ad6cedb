"""The demo: a database, a broker, the hub and a simulated fleet on one command."""
