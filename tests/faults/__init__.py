"""What survives kill -9: real processes, killed at named places."""
