"""Small working stand-ins for our ports, shared by all tests."""
