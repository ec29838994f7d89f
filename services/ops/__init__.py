"""What people run: set-up, `gca up`, `gca events`, `gca topology`, `gca webhook`."""
