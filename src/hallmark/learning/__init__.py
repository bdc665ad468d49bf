"""What LightningModules share."""
