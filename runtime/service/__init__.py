"""A run as a service: what the service manager is told, and when it is told nothing."""
