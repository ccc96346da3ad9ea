"""An update of the weights: forward passes, the loss, its gradient, the optimizer."""
