"""Tests, fakes and simulators."""
