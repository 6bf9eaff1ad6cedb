"""Lock boards: one codec per board, the serial line, the bus on it, and a board made of software."""
