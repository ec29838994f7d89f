"""What people run: set-up, `gca up`, `gca doctor`, `gca events`, `gca stats` and more."""
