"""Measured claims about speed and size; `python -m bench` runs them and writes one table."""
