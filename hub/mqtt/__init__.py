"""The broker: connections, acknowledgements, quarantine of what cannot be accepted, and a tap on messages."""
