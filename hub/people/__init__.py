"""People: their accounts, their rights, and how they are forgotten."""
