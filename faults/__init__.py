"""The guarantees against real processes. Faults are injected, and what is told is held against what was."""
