"""`gca up --demo`: shows the three flows of the simulated world and says how each ended."""
