"""How long data lives, what goes when, and the proof of it: decisions only."""
