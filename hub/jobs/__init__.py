"""Jobs: one command for many lockers, in steps, with approval, pause and stop."""
