"""What a source gave, on disk, so that a run can be repeated bit for bit."""
