"""The hub: takes in what the lockers report, stores it once, sends commands back in time."""
