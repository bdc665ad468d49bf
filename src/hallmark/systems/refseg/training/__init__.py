"""What trains the sample world's own networks, the proposer and the encoder of regions and texts."""
