"""Vectors that other models made: several of ours side by side, or files from elsewhere."""
