"""What `make` and the tests run; nothing that production imports."""
