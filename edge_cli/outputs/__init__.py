"""The outputs of a run that need the formats of the command line."""
