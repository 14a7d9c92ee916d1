"""Clips that overlap, at the cost of the frames that are new: rows are computed once and kept."""
