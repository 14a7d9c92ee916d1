"""A run of many streams under faults, for minutes or days: `scripts/soak`."""
