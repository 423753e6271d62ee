"""Real processes and stand-ins for the other side, shared by tests and `python -m tests.faults`."""
