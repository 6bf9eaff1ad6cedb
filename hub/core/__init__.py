"""The hub's decisions, pure: values in, values out; no await, no I/O, no clock, no logging."""
