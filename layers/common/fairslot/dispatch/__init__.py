"""Outside the VPC: one attempt at one delivery."""
