"""Looks after what lies in an output folder: verify, repair, prune."""
