"""What is decided about people's data: the audit's chain, requests, transactions, codes. No I/O, no clocks."""
