"""Data and words shared by every layer: specs, cards, errors, and the built-in model."""
