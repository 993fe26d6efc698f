"""The weights that training starts from: made-up surfaces, synthetic defects on them, and one long run of training."""
