"""Clips with labels: check data sets, evaluate models on them, calibrate INT8 graphs."""
