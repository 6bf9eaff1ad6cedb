"""A simulated fleet: real agents, with boards, users, faults and a day of work made of software."""
